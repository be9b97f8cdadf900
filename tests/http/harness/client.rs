//! A client that holds every answer against what is promised of all answers.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use whereas::http::Kind;

use super::documented;

/// Talks to the service with one token, or with none.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Method and path, for messages.
    pub asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(base: &str, token: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            // The service closes idle connections after five seconds; do not meet it in the act.
            .max_idle_age(Duration::from_secs(1))
            .build();
        Self {
            base: base.to_owned(),
            token: token.map(str::to_owned),
            agent: config.into(),
        }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a client with a token")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new())
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], Vec::new())
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, &serde_json::to_vec(body).unwrap())
    }

    pub fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let kind = [("content-type", "application/json")];
        self.send("POST", path, &kind, body.to_vec())
    }

    /// Sends a request, and checks of the answer what holds for all.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let answer = self
            .try_send(method, path, headers, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        answer.check(method, path);
        answer
    }

    /// Sends a request; there may be no answer when the service stops.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())?
        } else {
            self.agent.run(request.body(body).unwrap())?
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let reading = response.body_mut().with_config().limit(1 << 30);
        Ok(Answer {
            asked: format!("{method} {path}"),
            status,
            headers,
            body: reading.read_to_vec()?,
        })
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |v| v.to_str().unwrap())
    }

    pub fn media_type(&self) -> &str {
        let value = self.header("content-type");
        value.split(';').next().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The beginning of the body, for messages.
    pub fn start(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().take(600).collect()
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.start());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The text of an answer that must have succeeded.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.status, 200, "{}: {}", self.asked, self.start());
        self.text()
    }

    /// The problem of an answer that must be of this kind.
    #[track_caller]
    pub fn problem(&self, slug: &str) -> Value {
        let kind = Kind::ALL.iter().find(|k| k.slug() == slug);
        let kind = kind.unwrap_or_else(|| panic!("there is no problem {slug}"));
        let problem = self.json(kind.status());
        assert_eq!(
            problem["type"],
            format!("/problems/{slug}"),
            "{}: {problem}",
            self.asked
        );
        problem
    }

    /// Where a problem's faults are.
    pub fn pointers(&self) -> Vec<String> {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let pointer = |e: &Value| e["pointer"].as_str().unwrap().to_owned();
        errors.iter().map(pointer).collect()
    }

    /// What is promised of every answer.
    #[track_caller]
    fn check(&self, method: &str, path: &str) {
        let asked = &self.asked;
        let fault = documented::fault(method, path, self.status, self.media_type());
        assert_eq!(fault, None, "{asked} -> {}: {}", self.status, self.start());
        assert!(
            !self.header("x-request-id").is_empty(),
            "{asked} has a request id"
        );
        if self.status < 400 {
            return;
        }
        assert_eq!(self.media_type(), "application/problem+json", "{asked}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        let slug = problem["type"].as_str().unwrap();
        let slug = slug.strip_prefix("/problems/").unwrap();
        let kind = Kind::ALL.iter().find(|k| k.slug() == slug);
        let kind = kind.unwrap_or_else(|| panic!("{asked}: unknown problem {slug}"));
        assert_eq!(kind.status(), self.status, "{asked}");
        assert_eq!(problem["status"], self.status, "{asked}");
        assert_eq!(problem["title"], kind.title(), "{asked}");
        assert_ne!(problem["detail"], "", "{asked}");
        assert_ne!(self.status, 500, "{asked}: {problem}");
        assert_eq!(
            self.status == 503,
            self.headers.contains_key("retry-after"),
            "{asked}"
        );
        assert_eq!(
            self.status == 401,
            self.headers.contains_key("www-authenticate"),
            "{asked}"
        );
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
