//! A small HTTP client, as a workflow system would have one.

use serde_json::Value;

use crate::cli::Failure;

/// Talks to the service with one token.
pub(in crate::cli) struct Client {
    base: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    pub fn new(base: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            agent: config.into(),
        }
    }

    /// Posts JSON; gives the JSON answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        let answer = request
            .send_json(body)
            .map_err(|e| Failure(format!("POST {path}: {e}")))?;
        Ok(serde_json::from_str(&read(path, answer)?)?)
    }

    /// Gets a text.
    pub fn get(&self, path: &str) -> Result<String, Failure> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        read(
            path,
            request
                .call()
                .map_err(|e| Failure(format!("GET {path}: {e}")))?,
        )
    }
}

fn read(path: &str, mut answer: ureq::http::Response<ureq::Body>) -> Result<String, Failure> {
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .map_err(|e| Failure(format!("{path}: {e}")))?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(Failure(format!("{path} answered {status}: {body}")))
    }
}
