//! A small HTTP client with a time limit, and a limit on what it reads.

use std::time::Duration;

use super::AskError;

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 256 * 1024;

pub struct Client {
    agent: ureq::Agent,
    token: Option<String>,
}

pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub body: String,
}

/// Whether this program can reach an address: it speaks HTTP, and leaves TLS to a proxy.
#[must_use]
pub fn is_usable_url(url: &str) -> bool {
    url.strip_prefix("http://")
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

impl Client {
    pub fn new(timeout: Duration, token: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .build();
        Self {
            agent: config.into(),
            token: token.map(str::to_owned),
        }
    }

    pub fn get(&self, url: &str) -> Result<Answer, AskError> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        read(url, request.call())
    }

    pub fn post(&self, url: &str, body: &str) -> Result<Answer, AskError> {
        let request = self
            .agent
            .post(url)
            .header("content-type", "text/plain; charset=utf-8");
        read(url, request.send(body))
    }

    /// With `only_new`, the server is asked to keep what it has.
    pub fn put(&self, url: &str, body: &str, only_new: bool) -> Result<Answer, AskError> {
        let mut request = self
            .agent
            .put(url)
            .header("content-type", "text/plain; charset=utf-8");
        if only_new {
            request = request.header("if-none-match", "*");
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        read(url, request.send(body))
    }
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn read(url: &str, sent: Sent) -> Result<Answer, AskError> {
    let failed = |e: ureq::Error| AskError::Failed(format!("{url} does not answer: {e}"));
    let mut answer = sent.map_err(failed)?;
    let kind = answer.headers().get("content-type");
    let kind = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
    Ok(Answer {
        status: answer.status().as_u16(),
        kind: kind.to_owned(),
        body: answer
            .body_mut()
            .with_config()
            .limit(LONGEST)
            .read_to_string()
            .map_err(failed)?,
    })
}
