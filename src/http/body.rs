//! Reading request bodies: bounded, of the right media type, strict.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use crate::event::schema;
use crate::json::{self, Fault, FaultKind, Limits};

/// Largest body in bytes.
pub const MAX_BODY: usize = 8 << 20;

/// The body's bytes, of media type application/json.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.content_type().to_ascii_lowercase();
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if kind != "application/json" {
                return Err(Problem::new(
                    Kind::UnsupportedMediaType,
                    "Send the header `Content-Type: application/json`.",
                ));
            }
            let payload = payload.await.map_err(Problem::internal)?;
            match payload.to_bytes_limited(MAX_BODY).await {
                Err(_) => Err(Problem::new(
                    Kind::TooLarge,
                    format!(
                        "The body is longer than {} MiB. Split the batch; nothing was stored.",
                        MAX_BODY >> 20
                    ),
                )),
                Ok(Err(_)) => Err(Problem::new(
                    Kind::JsonSyntax,
                    "The body broke off before its end.",
                )),
                Ok(Ok(bytes)) => Ok(Self(bytes)),
            }
        })
    }
}

impl JsonBody {
    /// The body as strict JSON.
    ///
    /// # Errors
    /// All its faults.
    pub fn value(&self) -> Result<Value, Vec<Fault>> {
        json::parse(&self.0, Limits::default())
    }

    /// The body as a value of a type, checked against the type's schema first so that all faults are named at once.
    ///
    /// # Errors
    /// All its faults.
    pub fn read<T: DeserializeOwned + ToSchema>(&self) -> Result<T, Problem> {
        let refuse = |faults| Problem::faults(faults, Kind::InvalidRequest);
        let value = self.value().map_err(refuse)?;
        let faults = schema::faults_as::<T>(&value);
        if !faults.is_empty() {
            return Err(refuse(faults));
        }
        T::deserialize(value).map_err(|e| {
            refuse(vec![Fault {
                kind: FaultKind::Schema,
                pointer: String::new(),
                detail: e.to_string(),
            }])
        })
    }
}
