//! The events that the benchmarks post: four types in turn, each about 600 bytes of JSON and ten disclosures, no two
//! alike, over many cases that take turns.

use std::error::Error;

use serde_json::{Value, json};
use whereas::event::{Context, Event};
use whereas::json::{Limits, parse};

/// What may go wrong in a benchmark.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Origin of the ledger that is measured.
pub const ORIGIN: &str = "bench.example/acme";
/// Its name.
pub const NAME: &str = "acme";
/// Entries of a case.
const CASE: u64 = 12;
/// Cases that are in progress at the same time.
const OPEN: u64 = 50;

/// A small generator (splitmix64), so that payloads are distinct and runs repeat.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hex(&mut self, words: usize) -> String {
        (0..words)
            .map(|_| format!("{:016x}", self.next()))
            .collect()
    }

    fn text(&mut self, words: u64) -> String {
        const WORDS: [&str; 32] = [
            "the",
            "applicant",
            "income",
            "household",
            "permit",
            "was",
            "granted",
            "under",
            "section",
            "evidence",
            "shows",
            "that",
            "rent",
            "exceeds",
            "limit",
            "for",
            "two",
            "persons",
            "policy",
            "requires",
            "review",
            "before",
            "payment",
            "of",
            "arrears",
            "source",
            "cites",
            "decision",
            "from",
            "March",
            "no",
            "objection",
        ];
        let mut out = String::new();
        for i in 0..words {
            if i > 0 {
                out.push(' ');
            }
            let at = usize::try_from(self.next() % 32).unwrap_or(0);
            out.push_str(WORDS[at]);
        }
        out
    }
}

/// The JSON text of event number `n` of the run `run`.
pub fn event_json(run: u64, n: u64) -> Vec<u8> {
    let mut dice = Dice(run.wrapping_mul(0x1_0000_0000).wrapping_add(n));
    let case = n / (CASE * OPEN) * OPEN + n % OPEN;
    let mut event = json!({
        "id": format!("evt-{run}-{n}-{}", dice.hex(1)),
        "source": "https://workflow.bench.example/permits",
        "time": format!("2026-03-{:02}T{:02}:{:02}:{:02}.{:06}Z", 1 + n / 86_400 % 28, n / 3_600 % 24, n / 60 % 60, n % 60, dice.next() % 1_000_000),
        "case_id": format!("PERMIT-2026-{run}-{case:07}"),
        "trace_id": format!("{:016x}{:016x}", run + 1, case + 1),
        "span_id": dice.hex(1),
        "actor": { "id": format!("agent-{}", dice.next() % 40), "role": "permit-assistant" },
    });
    let (kind, data) = match n % 4 {
        0 => {
            event["run_id"] = json!(format!("run-{}", dice.hex(1)));
            let data = json!({
                "tool": "income-register.lookup",
                "call_id": dice.hex(1),
                "arguments_digest": format!("sha256:{}", dice.hex(4)),
                "result_summary": dice.text(24),
            });
            ("tool.executed", data)
        }
        1 => {
            event["run_id"] = json!(format!("run-{}", dice.hex(1)));
            let data = json!({
                "source_id": format!("policy-{}", dice.next() % 500),
                "version": format!("2026.{}", dice.next() % 12),
                "digest": format!("sha256:{}", dice.hex(4)),
                "authorization_decision_id": format!("{} {}", dice.hex(1), dice.text(18)),
            });
            ("source.accessed", data)
        }
        2 => {
            let id = dice.hex(1);
            event["recommendation_id"] = json!(format!("rec-{id}"));
            let data = json!({
                "draft": dice.text(16),
                "claims": [{ "text": dice.text(10), "citations": [{ "source_id": format!("policy-{}", dice.next() % 500) }] }],
            });
            ("recommendation.drafted", data)
        }
        _ => {
            event["run_id"] = json!(format!("run-{}", dice.hex(1)));
            let data = json!({
                "guard": "grounding",
                "guard_version": format!("1.{}", dice.next() % 30),
                "result": "passed",
                "reason": dice.text(34),
            });
            ("guardrail.fired", data)
        }
    };
    event["type"] = json!(kind);
    event["data"] = data;
    event.to_string().into_bytes()
}

/// Reads an event as the service does: strict JSON, then the vocabulary.
pub fn read_event(json: &[u8]) -> Result<Event, Failure> {
    let value: Value = parse(json, Limits::default()).map_err(|f| format!("{f:?}"))?;
    let context = Context {
        ledger: NAME,
        origin: ORIGIN,
        only_source: None,
    };
    Event::read(value, &context).map_err(|f| format!("{f:?}").into())
}
