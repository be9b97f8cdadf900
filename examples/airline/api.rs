//! The part of the HTTP API that a workflow system, a reader of reports and their administrator use.

use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Largest answer that is read: reports carry their evidence.
const MAX_ANSWER: u64 = 64 << 20;

/// What can go wrong when talking to the service.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("{path}: {cause}")]
    Transport {
        /// The path asked for.
        path: String,
        /// What happened.
        cause: ureq::Error,
    },
    /// The service says no. The body is its problem document.
    #[error("{path}: {status}\n{body}")]
    Refused {
        /// The path asked for.
        path: String,
        /// The status code.
        status: u16,
        /// The problem document.
        body: String,
    },
    /// The answer is not what the API promises.
    #[error("{path}: {what}")]
    Unexpected {
        /// The path asked for.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A service, reached over HTTP with one token.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Taken {
    /// Its position in the ledger.
    pub seq: u64,
    /// The receipt.
    pub receipt: String,
    /// The disclosures, to recompute what was committed.
    pub disclosures: Vec<String>,
}

/// The answer to a post.
#[derive(Debug, Deserialize)]
struct Posted {
    items: Vec<Taken>,
}

impl Client {
    /// Talks to the service at `url`.
    pub fn new(url: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        }
    }

    /// Creates a principal with one grant; gives its token. Only for the administrator.
    pub fn principal(&self, name: &str, grant: &Value) -> Result<String, ApiError> {
        let path = "/v1/principals";
        let made = self.post(path, &json!({"name": name, "grants": [grant]}))?;
        let path = format!("{path}/{}/tokens", text(path, &made, "id")?);
        let made = self.post(&path, &json!({}))?;
        text(&path, &made, "token").map(str::to_owned)
    }

    /// Posts events: all of them are taken, in this order, or none.
    pub fn post_events(&self, ledger: &str, events: &[Value]) -> Result<Vec<Taken>, ApiError> {
        let path = format!("/v1/ledgers/{ledger}/events");
        let answer = self.post(&path, &json!(events))?;
        let unexpected = |what| ApiError::Unexpected {
            path: path.clone(),
            what,
        };
        let posted: Posted =
            serde_json::from_value(answer).map_err(|error| unexpected(error.to_string()))?;
        if posted.items.len() == events.len() {
            return Ok(posted.items);
        }
        Err(unexpected("not every event was taken".to_owned()))
    }

    /// Asks why, for a case.
    pub fn why(&self, ledger: &str, case: &str) -> Result<Value, ApiError> {
        let path = format!("/v1/ledgers/{ledger}/cases/{case}/why?lang=en");
        parse(&path, &self.get(&path)?)
    }

    /// Has a report about a case issued, and fetches it. The bytes are as served.
    pub fn report(&self, ledger: &str, case: &str, purpose: &str) -> Result<String, ApiError> {
        let path = format!("/v1/ledgers/{ledger}/reports");
        let order = json!({"subject": {"case": case}, "purpose": purpose});
        let issued = self.post(&path, &order)?;
        self.get(text(&path, &issued, "href")?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        parse(path, &read(path, request.send_json(body))?)
    }

    fn get(&self, path: &str) -> Result<String, ApiError> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        read(path, request.call())
    }
}

fn parse(path: &str, text: &str) -> Result<Value, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::Unexpected {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

fn text<'a>(path: &str, answer: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    let found = answer.get(member).and_then(Value::as_str);
    found.ok_or_else(|| ApiError::Unexpected {
        path: path.to_owned(),
        what: format!("no `{member}`"),
    })
}

fn read(
    path: &str,
    sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, ApiError> {
    let transport = |cause| ApiError::Transport {
        path: path.to_owned(),
        cause,
    };
    let mut answer = sent.map_err(transport)?;
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER)
        .read_to_string()
        .map_err(transport)?;
    if status.is_success() {
        return Ok(body);
    }
    Err(ApiError::Refused {
        path: path.to_owned(),
        status: status.as_u16(),
        body,
    })
}
