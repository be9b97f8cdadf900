//! The demonstration: a workflow system posts two cases, keeps the receipts, asks why, and verifies the reports.
//!
//! Everything goes through the service's own HTTP API, and everything printed about the cases comes from reports that
//! were verified offline with the ledger's key.

mod client;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::verify::{judge_again, story};
use super::{Config, Failure, Outcome, fail, keys, say, serve};
use crate::ledger::Timestamp;
use crate::ledger::note::Vkey;
use crate::sequencer::{Clock, Ledger, LedgerPaths, SystemClock};
use crate::verify::{self, words};
pub(super) use client::Client;

/// Name of the demonstration's ledger.
const LEDGER: &str = "demo";
/// The workflow system that posts.
const SOURCE: &str = "https://workflow.example/cases";

/// The cases: file name, events, what to expect.
const CASES: [(&str, &str, &str); 2] = [
    (
        "proper",
        include_str!("proper.json"),
        "A complaint, escalated as the rules want it",
    ),
    (
        "failed",
        include_str!("failed.json"),
        "Another complaint, where a control failed",
    ),
];

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// New folder for the demonstration [default: whereas-demo, with a number when that is taken]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Language of the answers: en or de
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: String,
    /// End instead of serving on
    #[arg(long)]
    exit: bool,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    let dir = match &args.dir {
        Some(dir) if dir.exists() => {
            return fail(format!(
                "{} is there already; the demonstration needs a new folder",
                dir.display()
            ));
        }
        Some(dir) => dir.clone(),
        None => free_folder(),
    };
    serve::log(Some("warn"));
    let config = Config::of(&dir, "ledger.example");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    crate::keyring::create_private_dir(&dir)?;
    Ledger::create(
        &config.paths(LEDGER),
        LEDGER,
        &config.origin(LEDGER),
        Arc::clone(&clock),
        None,
    )?;
    let listener = TcpListener::bind(args.listen)
        .map_err(|e| Failure(format!("cannot listen on {}: {e}", args.listen)))?;
    let address = listener.local_addr()?;
    let system = actix_web::rt::System::new();
    system.block_on(async {
        let server = serve::open(&config).await?;
        let running = serve::start(&config, server, listener)?;
        let play = Play { dir: dir.clone(), base: format!("http://{address}"), lang: args.lang.clone(), now: clock.now() };
        let played = tokio::task::spawn_blocking(move || play.all()).await.map_err(|e| Failure(format!("the demonstration broke off: {e}")))?;
        let stay = played.is_ok() && !args.exit;
        if stay {
            say(&format!("\nThe service keeps serving on http://{address} (API at /docs/). Stop it with Ctrl-C."))?;
            serve::stop_signal().await?;
        }
        running.stop().await?;
        played
    })
}

fn free_folder() -> PathBuf {
    let numbered = (2..).map(|n| PathBuf::from(format!("whereas-demo-{n}")));
    std::iter::once(PathBuf::from("whereas-demo"))
        .chain(numbered)
        .find(|p| !p.exists())
        .unwrap_or_default()
}

/// The events of a case, with their times around `now`.
fn events(text: &str, now: Timestamp) -> Result<Vec<Value>, Failure> {
    let mut events: Vec<Value> = serde_json::from_str(text)?;
    events.iter_mut().for_each(|e| fill_times(e, now));
    Ok(events)
}

/// Replaces `{now-60s}` by the time that it means.
fn fill_times(value: &mut Value, now: Timestamp) {
    match value {
        Value::String(text) => {
            let offset = text
                .strip_prefix("{now")
                .and_then(|t| t.strip_suffix("s}"))
                .and_then(|t| t.parse::<i64>().ok());
            if let Some(offset) = offset {
                *text = now.plus_micros(offset * 1_000_000).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| fill_times(v, now)),
        Value::Object(map) => map.values_mut().for_each(|v| fill_times(v, now)),
        _ => {}
    }
}

/// The demonstration, from outside the service.
struct Play {
    dir: PathBuf,
    base: String,
    lang: String,
    now: Timestamp,
}

impl Play {
    fn all(&self) -> Outcome {
        let administrator = super::read_text(&serve::administrator_token(&self.dir))?;
        let origin = format!("ledger.example/{LEDGER}");
        let vkey = keys::checkpoint_key(&LedgerPaths::below(&self.dir, LEDGER), &origin)?;
        std::fs::write(self.dir.join("ledger.vkey"), format!("{vkey}\n"))?;
        say(&format!("A new ledger in {}: {origin}", self.dir.display()))?;
        say(&format!("Its key, which a verifier pins: {vkey}"))?;
        let admin = Client::new(&self.base, administrator.trim());
        let workflow = self.principal(
            &admin,
            "Case workflow",
            &json!({"role": "producer", "ledgers": [LEDGER], "sources": [SOURCE]}),
        )?;
        let expires = self.now.plus_micros(30 * 86_400 * 1_000_000).to_string();
        let cases = json!({LEDGER: ["C-2041", "C-2042"]});
        let regulator = self.principal(
            &admin,
            "Regulator",
            &json!({"role": "regulator", "ledgers": [LEDGER], "cases": cases, "expires": expires}),
        )?;
        let mut good = true;
        for (name, text, title) in CASES {
            good &= self.case(
                &workflow,
                &regulator,
                &vkey,
                name,
                &events(text, self.now)?,
                title,
            )?;
        }
        self.where_everything_is()?;
        Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }

    /// Creates a principal and its token; keeps the token in a file and gives a client that uses it.
    fn principal(&self, admin: &Client, name: &str, grant: &Value) -> Result<Client, Failure> {
        let made = admin.post("/v1/principals", &json!({"name": name, "grants": [grant]}))?;
        let id = text(&made, "/id")?;
        let token = admin.post(&format!("/v1/principals/{id}/tokens"), &json!({}))?;
        let token = text(&token, "/token")?;
        let file = self
            .dir
            .join(format!("{}.token", name.to_lowercase().replace(' ', "-")));
        crate::access::files::write_secret_file(&file, format!("{token}\n").as_bytes())?;
        Ok(Client::new(&self.base, token))
    }

    /// Plays one case; tells whether everything verified.
    fn case(
        &self,
        workflow: &Client,
        regulator: &Client,
        vkey: &Vkey,
        name: &str,
        events: &[Value],
        title: &str,
    ) -> Result<bool, Failure> {
        let case = events
            .first()
            .and_then(|e| e.get("case_id"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        say(&format!("\n═══ {title} ({case}) ═══"))?;
        let folder = self.dir.join("cases").join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, event) in events.iter().enumerate() {
            let answer = workflow.post(&format!("/v1/ledgers/{LEDGER}/events"), event)?;
            std::fs::write(
                folder.join(format!("{:02}-event.json", number + 1)),
                serde_json::to_vec_pretty(event)?,
            )?;
            std::fs::write(
                folder.join(format!("{:02}-answer.json", number + 1)),
                serde_json::to_vec_pretty(&answer)?,
            )?;
            if !self.receipt_is_good(&answer, event, vkey)? {
                return Ok(false);
            }
        }
        say(&format!(
            "Posted {} events; each receipt verified offline, with the event that it is for.",
            events.len()
        ))?;
        let order = json!({"subject": {"case": case}, "purpose": "Demonstration: why was this recommended?"});
        let issued = regulator.post(&format!("/v1/ledgers/{LEDGER}/reports"), &order)?;
        let report = regulator.get(text(&issued, "/href")?)?;
        let file = folder.join("report.json");
        std::fs::write(&file, &report)?;
        say(&format!("The regulator's report: {}\n", file.display()))?;
        self.tell(report.as_bytes(), vkey)
    }

    fn receipt_is_good(&self, answer: &Value, event: &Value, vkey: &Vkey) -> Result<bool, Failure> {
        let receipt = text(answer, "/items/0/receipt")?;
        let disclosures: Vec<String> = serde_json::from_value(
            answer
                .pointer("/items/0/disclosures")
                .cloned()
                .unwrap_or_default(),
        )?;
        let posted = serde_json::to_vec(event)?;
        let check = verify::receipt::EventCheck {
            event: &posted,
            disclosures: &disclosures,
            declared: crate::event::COMMON_MEMBERS,
        };
        let outcome = verify::receipt::verify(receipt, std::slice::from_ref(vkey), Some(&check));
        if outcome.refused() {
            say(words::receipt(&outcome).trim_end())?;
        }
        Ok(!outcome.refused())
    }

    /// Verifies a report file and prints what it says; tells whether it verified.
    fn tell(&self, report: &[u8], vkey: &Vkey) -> Result<bool, Failure> {
        let opened =
            verify::report::open(report, std::slice::from_ref(vkey), &[], Some(&judge_again));
        if let Some(statement) = &opened.statement {
            for line in story(report, statement, &opened, &self.lang)? {
                say(&line)?;
            }
        }
        say("")?;
        say(words::report(&opened.check).trim_end())?;
        Ok(!opened.check.refused())
    }

    fn where_everything_is(&self) -> Result<(), Failure> {
        let dir = self.dir.display();
        say(&format!(
            "\nWhere everything is:\n  {dir}/ledgers/{LEDGER}/ledger.db   the record (SQLite)\n  {dir}/guard/{LEDGER}               the newest checkpoint, outside the database\n  {dir}/keyring/{LEDGER}/            keys, and the secrets that content is encrypted under\n  {dir}/cases/                    events, answers with receipts, reports\n  {dir}/ledger.vkey               the key to pin\n  {dir}/*.token                   tokens (case-workflow, regulator, administrator)"
        ))?;
        say(&format!(
            "Verify a report yourself:\n  whereas verify report {dir}/cases/failed/report.json --key {dir}/ledger.vkey --lang {}",
            self.lang
        ))
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Failure> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| Failure(format!("the service's answer lacks {pointer}")))
}

#[cfg(test)]
mod tests;
