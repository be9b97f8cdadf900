//! Reading the runs: one JSON object a line, as the benchmark published them.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Tools that change the booking database: for these the policy demands a listing and an explicit confirmation.
pub const BOOKING_CHANGES: [&str; 5] = [
    "book_reservation",
    "cancel_reservation",
    "update_reservation_baggages",
    "update_reservation_flights",
    "update_reservation_passengers",
];

/// Hands out money, but does not touch a booking: judged in the same way and counted apart.
pub const CERTIFICATE: &str = "send_certificate";

/// Tools that only read.
const READS: [&str; 5] = [
    "get_reservation_details",
    "get_user_details",
    "list_all_airports",
    "search_direct_flight",
    "search_onestop_flight",
];

/// The tool with which the agent hands over to a person.
pub const TRANSFER: &str = "transfer_to_human_agents";

/// The simulated customer's signal that the conversation is over. It is not part of what the customer says.
const STOP: &str = "###STOP###";

/// What is wrong with the input.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// A line is not a run.
    #[error("line {line}: {cause}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What the parser says.
        cause: serde_json::Error,
    },
    /// The arguments of a call are not a JSON object.
    #[error("run {run}, message {message}: the arguments of the call are not a JSON object")]
    Arguments {
        /// The run.
        run: String,
        /// Index of the message.
        message: usize,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The policy.
    System,
    /// The customer.
    User,
    /// The agent.
    Assistant,
    /// A tool's answer.
    Tool,
}

/// A call of a tool, with its answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// The call's id in the transcript. The model repeats ids, even within a run: the id does not name the call.
    pub id: String,
    /// Name of the tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Index of the message that holds the answer, with the answer; absent when the transcript ends before it.
    pub answer: Option<(usize, String)>,
}

impl Call {
    /// Whether it changes the booking database.
    pub fn changes_booking(&self) -> bool {
        BOOKING_CHANGES.contains(&self.tool.as_str())
    }

    /// Whether the customer's consent is judged for it.
    pub fn is_judged(&self) -> bool {
        self.changes_booking() || self.tool == CERTIFICATE
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        READS.contains(&self.tool.as_str())
    }

    /// Whether the tool answered, and not with an error.
    pub fn succeeded(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|(_, text)| !text.starts_with("Error"))
    }

    /// A text argument.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).and_then(Value::as_str)
    }
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The words.
    pub text: String,
    /// The tool that is called with it (the agent calls one at a time).
    pub call: Option<Call>,
}

/// One run: a conversation of a customer with the agent.
#[derive(Debug, Clone)]
pub struct Run {
    /// The task played.
    pub task: u64,
    /// Which of the repetitions.
    pub trial: u64,
    /// The messages. Their indexes are the benchmark's own.
    pub messages: Vec<Message>,
    /// Whether the customer closed the conversation.
    pub closed_by_customer: bool,
}

impl Run {
    /// How the run is called in tables: task and trial.
    pub fn name(&self) -> String {
        format!("{}/{}", self.task, self.trial)
    }

    /// The text of a message; empty when there is no such message.
    pub fn text(&self, index: usize) -> &str {
        self.messages
            .get(index)
            .map_or("", |message| message.text.as_str())
    }

    /// Whether the message at `index` was put to the customer: words of the agent, without a call.
    pub fn is_shown(&self, index: usize) -> bool {
        self.messages.get(index).is_some_and(|message| {
            message.role == Role::Assistant
                && message.call.is_none()
                && !message.text.trim().is_empty()
        })
    }

    /// Index of the last message of the customer before `index`.
    pub fn customer_before(&self, index: usize) -> Option<usize> {
        (0..index.min(self.messages.len())).rev().find(|at| {
            self.messages
                .get(*at)
                .is_some_and(|message| message.role == Role::User)
        })
    }
}

#[derive(Deserialize)]
struct RawRun {
    task_id: u64,
    trial: u64,
    traj: Vec<RawMessage>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: Role,
    content: Option<String>,
    tool_calls: Option<Vec<RawCall>>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
struct RawCall {
    id: String,
    function: RawFunction,
}

#[derive(Deserialize)]
struct RawFunction {
    name: String,
    arguments: String,
}

/// Reads all runs.
pub fn read(text: &str) -> Result<Vec<Run>, TranscriptError> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|cause| TranscriptError::Line {
                    line: number.saturating_add(1),
                    cause,
                })
                .and_then(run)
        })
        .collect()
}

fn run(raw: RawRun) -> Result<Run, TranscriptError> {
    let answers: Vec<(usize, String, String)> = raw
        .traj
        .iter()
        .enumerate()
        .filter(|(_, message)| message.role == Role::Tool)
        .map(|(at, message)| {
            let id = message.tool_call_id.clone().unwrap_or_default();
            (at, id, message.content.clone().unwrap_or_default())
        })
        .collect();
    let name = format!("{}/{}", raw.task_id, raw.trial);
    let mut closed_by_customer = false;
    let mut messages = Vec::with_capacity(raw.traj.len());
    for (index, message) in raw.traj.into_iter().enumerate() {
        let mut text = message.content.unwrap_or_default();
        if message.role == Role::User && text.contains(STOP) {
            closed_by_customer = true;
            text = text.replace(STOP, "").trim().to_owned();
        }
        let call = match message
            .tool_calls
            .and_then(|calls| calls.into_iter().next())
        {
            None => None,
            Some(raw) => {
                let arguments = serde_json::from_str(&raw.function.arguments).map_err(|_| {
                    TranscriptError::Arguments {
                        run: name.clone(),
                        message: index,
                    }
                })?;
                // Ids repeat: the answer is the next one with this id.
                let answer = answers
                    .iter()
                    .find(|(at, id, _)| *at > index && *id == raw.id)
                    .map(|(at, _, text)| (*at, text.clone()));
                Some(Call {
                    id: raw.id,
                    tool: raw.function.name,
                    arguments,
                    answer,
                })
            }
        };
        messages.push(Message {
            role: message.role,
            text,
            call,
        });
    }
    Ok(Run {
        task: raw.task_id,
        trial: raw.trial,
        messages,
        closed_by_customer,
    })
}

/// Conversations for the tests of the other modules.
#[cfg(test)]
pub mod sample {
    use super::{Run, read};
    use serde_json::{Value, json};

    /// A run from (role, words) pairs; a call is ("call", "tool {arguments} => answer").
    pub fn run(lines: &[(&str, &str)]) -> Result<Run, String> {
        let mut messages: Vec<Value> =
            vec![json!({"role": "system", "content": "You must list and confirm."})];
        for (role, words) in lines {
            if *role != "call" {
                messages.push(json!({"role": role, "content": words}));
                continue;
            }
            let (call, answer) = words.split_once(" => ").ok_or("a call needs an answer")?;
            let (tool, arguments) = call.split_once(' ').ok_or("a call needs arguments")?;
            let id = format!("call_{}", messages.len());
            let function = json!({"name": tool, "arguments": arguments});
            messages.push(json!({"role": "assistant", "content": null,
                "tool_calls": [{"id": id, "function": function}]}));
            messages
                .push(json!({"role": "tool", "tool_call_id": id, "name": tool, "content": answer}));
        }
        let line = json!({"task_id": 7, "trial": 1, "reward": 0.0, "traj": messages}).to_string();
        let mut runs = read(&line).map_err(|error| error.to_string())?;
        runs.pop().ok_or_else(|| "no run".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{read, sample};

    #[test]
    fn pairs_calls_with_their_answers() -> Result<(), String> {
        let run = sample::run(&[
            ("user", "Cancel ABC123"),
            (
                "call",
                "cancel_reservation {\"reservation_id\":\"ABC123\"} => Error: no such reservation",
            ),
            ("user", "Bye ###STOP###"),
        ])?;
        let call = run
            .messages
            .get(2)
            .and_then(|message| message.call.clone())
            .ok_or("no call")?;
        assert_eq!(
            call.answer,
            Some((3, "Error: no such reservation".to_owned()))
        );
        assert!(call.changes_booking() && !call.succeeded() && !call.reads());
        assert_eq!(call.text("reservation_id"), Some("ABC123"));
        assert_eq!(run.text(4), "Bye");
        assert!(run.closed_by_customer);
        assert_eq!(run.customer_before(4), Some(1));
        Ok(())
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let error = read("\n{\"task_id\": 1}\n").map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.starts_with("line 2:")));
    }

    #[test]
    fn refuses_arguments_that_are_not_an_object() {
        let run = sample::run(&[("call", "cancel_reservation [1] => ok")]);
        assert!(run.is_err_and(|text| text.contains("message 1")));
    }
}
