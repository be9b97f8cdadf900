//! The program itself, as somebody would run it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use whereas::ledger::note::Vkey;

use super::{Client, LEDGER};

/// Runs the program to its end.
pub fn whereas(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whereas"));
    for (name, _) in std::env::vars() {
        if name.starts_with("WHEREAS_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.current_dir(dir);
    command.args(["--data-dir", "data", "--server-name", "ledger.example"]);
    command.args(args);
    command
}

/// What a command printed, when it ended with this code.
#[track_caller]
pub fn printed(output: &Output, code: i32) -> String {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    format!("{out}{err}")
}

/// A folder with one ledger, and the program that serves it.
pub struct Process {
    dir: TempDir,
    child: Option<Child>,
    pub base: String,
    starts: u32,
}

impl Process {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        printed(&whereas(dir.path(), &["ledger", "create", LEDGER]), 0);
        let mut process = Self {
            dir,
            child: None,
            base: String::new(),
            starts: 0,
        };
        process.start();
        process
    }

    /// Starts it, and reads where it listens from what it says.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts it with more arguments.
    pub fn start_with(&mut self, more: &[&str]) {
        assert!(self.child.is_none());
        self.starts += 1;
        let log = File::create(self.log_file(self.starts)).unwrap();
        let args = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let mut child = command(self.path(), &args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().map(Result::unwrap).unwrap_or_default();
        let base = line.split_whitespace().find(|w| w.starts_with("http://"));
        self.base = base
            .unwrap_or_else(|| panic!("{line}: {}", self.log()))
            .to_owned();
        self.child = Some(child);
    }

    /// Asks it to end (SIGTERM), and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        let child = self.child.as_ref().expect("it is running");
        let kill = format!("kill -TERM {}", child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
        self.child.take().unwrap().wait().unwrap()
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it is running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        whereas(self.path(), args)
    }

    fn log_file(&self, start: u32) -> PathBuf {
        self.path().join(format!("log-{start}"))
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file(self.starts)).unwrap()
    }

    pub fn client(&self, token: &str) -> Client {
        Client::new(&self.base, Some(token))
    }

    pub fn administrator(&self) -> Client {
        let path = self.path().join("data/administrator.token");
        self.client(std::fs::read_to_string(path).unwrap().trim())
    }

    /// The token of a new principal.
    pub fn token(&self, grant: &Value) -> String {
        let admin = self.administrator();
        let name = &grant["role"];
        let made = admin
            .post("/v1/principals", &json!({"name": name, "grants": [grant]}))
            .json(201);
        let path = format!("/v1/principals/{}/tokens", made["id"].as_str().unwrap());
        let minted = admin.post(&path, &json!({})).json(201);
        minted["token"].as_str().unwrap().to_owned()
    }

    pub fn vkey(&self) -> Vkey {
        let shown = printed(&self.run(&["keys", LEDGER]), 0);
        let key = shown
            .split_whitespace()
            .find(|w| w.starts_with(&format!("ledger.example/{LEDGER}+")));
        Vkey::parse(key.unwrap()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if std::thread::panicking() {
            self.kill();
        } else {
            let status = self.terminate();
            assert!(status.success(), "{status}: {}", self.log());
        }
    }
}

/// Waits until something holds; it must within a minute.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let late = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < late, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
