//! The part of the HTTP API that a workflow system and a reader of reports use.

use serde_json::{Value, json};
use std::time::Duration;

/// Largest answer that is read: reports carry their evidence.
const MAX_ANSWER: u64 = 64 << 20;

/// What can go wrong when talking to the ledger.
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
    /// The ledger says no. The body is its problem document.
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

/// A ledger, reached over HTTP.
pub struct Ledger {
    agent: ureq::Agent,
    base: String,
    token: String,
}

/// How the events of a batch were taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// New entries.
    pub created: usize,
    /// Events that were there already.
    pub duplicates: usize,
}

impl Ledger {
    /// The ledger `name` at `url`.
    pub fn new(url: &str, name: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let base = format!("{}/v1/ledgers/{name}", url.trim_end_matches('/'));
        Self {
            agent: config.into(),
            base,
            token: token.to_owned(),
        }
    }

    /// Posts a batch: all of it is taken, in this order, or nothing.
    pub fn post_events(&self, batch: &[Value]) -> Result<Taken, ApiError> {
        let answer = self.post("events", &json!(batch))?;
        let taken = count(&answer);
        if taken.created.saturating_add(taken.duplicates) == batch.len() {
            return Ok(taken);
        }
        Err(ApiError::Unexpected {
            path: "events".to_owned(),
            what: format!("not every event was taken: {answer}"),
        })
    }

    /// Asks why, for a case.
    pub fn why(&self, case: &str) -> Result<Value, ApiError> {
        let path = format!("cases/{case}/why");
        let text = self.get(&path)?;
        serde_json::from_str(&text).map_err(|error| ApiError::Unexpected {
            path,
            what: error.to_string(),
        })
    }

    /// Has a report about a case issued, and fetches it. The bytes are as served.
    pub fn report(&self, case: &str, purpose: &str) -> Result<String, ApiError> {
        let answer = self.post(
            "reports",
            &json!({"subject": {"case": case}, "purpose": purpose}),
        )?;
        let id = answer
            .get("id")
            .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let id = id.ok_or_else(|| ApiError::Unexpected {
            path: "reports".to_owned(),
            what: "no id".to_owned(),
        })?;
        self.get(&format!("reports/{id}"))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let sent = self
            .agent
            .post(format!("{}/{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .send_json(body);
        let text = read(path, sent)?;
        serde_json::from_str(&text).map_err(|error| ApiError::Unexpected {
            path: path.to_owned(),
            what: error.to_string(),
        })
    }

    fn get(&self, path: &str) -> Result<String, ApiError> {
        let url = format!("{}/{path}", self.base);
        read(
            path,
            self.agent
                .get(url)
                .header("authorization", format!("Bearer {}", self.token))
                .call(),
        )
    }
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

fn count(answer: &Value) -> Taken {
    let items = answer
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items.fold(Taken::default(), |mut taken, item| {
        match item.get("status").and_then(Value::as_str) {
            Some("created") => taken.created = taken.created.saturating_add(1),
            Some("duplicate") => taken.duplicates = taken.duplicates.saturating_add(1),
            _ => {}
        }
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_taken() {
        let answer = json!({"items": [{"status": "created", "seq": 4}, {"status": "duplicate"}, {"status": "odd"}]});
        assert_eq!(
            count(&answer),
            Taken {
                created: 1,
                duplicates: 1
            }
        );
        assert_eq!(count(&json!([])), Taken::default());
    }
}
