//! Which messages of the agent are proposals, and what each of them lists.

use crate::transcript::{Call, Role, Run};
use crate::words;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a tool last said about a reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booking {
    /// Cabin.
    pub cabin: String,
    /// Flight number and day of each leg.
    pub legs: BTreeSet<(String, String)>,
    /// Full names of the passengers.
    pub passengers: BTreeSet<String>,
    /// Number of checked bags.
    pub bags: u64,
    /// Number of those that are paid for.
    pub paid_bags: u64,
}

/// What the tools have said so far: the bookings read, and every reservation id seen.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Bookings by reservation id.
    pub bookings: BTreeMap<String, Booking>,
    /// All reservation ids seen.
    pub ids: BTreeSet<String>,
    /// The reservation that a tool spoke of last.
    pub last: Option<String>,
    /// The cabin that a confirmed change asked for, by reservation id.
    pub asked_cabins: BTreeMap<String, String>,
    /// Last four digits of the customer's cards, by id of the payment method.
    pub cards: BTreeMap<String, String>,
    /// By id of a payment method: how people call it (its number, its last four digits, its balance).
    pub payments: BTreeMap<String, Vec<String>>,
}

/// Legs of a `flights` member.
pub fn legs(value: Option<&Value>) -> BTreeSet<(String, String)> {
    let text = |leg: &Value, name: &str| {
        leg.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|leg| (text(leg, "flight_number"), text(leg, "date")))
        .collect()
}

/// Full names of a `passengers` member.
pub fn passengers(value: Option<&Value>) -> BTreeSet<String> {
    let text = |who: &Value, name: &str| {
        who.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|who| format!("{} {}", text(who, "first_name"), text(who, "last_name")))
        .collect()
}

impl Known {
    /// Takes in a call and its answer.
    pub fn learn(&mut self, call: &Call) {
        self.ids
            .extend(call.text("reservation_id").map(str::to_owned));
        let answer = call.answer.as_ref().map_or("", |(_, text)| text.as_str());
        let Ok(Value::Object(answer)) = serde_json::from_str::<Value>(answer) else {
            return;
        };
        let listed = answer
            .get("reservations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        self.ids
            .extend(listed.filter_map(Value::as_str).map(str::to_owned));
        for (id, method) in answer
            .get("payment_methods")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let number = id.rsplit('_').next().map(str::to_owned);
            let last_four = method
                .get("last_four")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if let Some(digits) = &last_four {
                self.cards.insert(id.clone(), digits.clone());
            }
            let balance = method.get("amount").map(|amount| format!("${amount}"));
            self.payments.insert(
                id.clone(),
                [number, last_four, balance].into_iter().flatten().collect(),
            );
        }
        let Some(id) = answer.get("reservation_id").and_then(Value::as_str) else {
            return;
        };
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        // The tools go on showing the cabin from before a change that they confirmed: what was asked for counts.
        if let Some(asked) = call.text("cabin") {
            self.asked_cabins.insert(id.to_owned(), asked.to_owned());
        }
        let asked = self.asked_cabins.get(id).map(String::as_str);
        let cabin = asked.or_else(|| answer.get("cabin")?.as_str());
        let booking = Booking {
            cabin: cabin.unwrap_or_default().to_owned(),
            legs: legs(answer.get("flights")),
            passengers: passengers(answer.get("passengers")),
            bags: number("total_baggages"),
            paid_bags: number("nonfree_baggages"),
        };
        self.ids.insert(id.to_owned());
        self.last = Some(id.to_owned());
        self.bookings.insert(id.to_owned(), booking);
    }
}

/// What a proposal lists, with what it takes over from the one that it amends.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The words, plain.
    pub plain: String,
    /// Flight numbers.
    pub flights: BTreeSet<String>,
    /// Reservation ids; where the text names none, those last named in the conversation, or else the one that a
    /// tool spoke of last.
    pub reservations: BTreeSet<String>,
    /// Amounts in cents. An amendment that names any replaces those of the proposal before.
    pub amounts: BTreeSet<u64>,
    /// Cabins.
    pub cabins: BTreeSet<&'static str>,
}

/// A message of the agent that asks the customer for a go-ahead.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Index of the message.
    pub at: usize,
    /// The tools that its words, or those of the proposal that it amends, speak of.
    pub actions: BTreeSet<&'static str>,
    /// The kinds of payment that its own words name.
    pub payments: BTreeSet<&'static str>,
    /// The cards that its own words name by their last four digits.
    pub cards: BTreeSet<String>,
    /// The amounts that its own words name, in cents.
    pub own_amounts: BTreeSet<u64>,
    /// What it lists.
    pub terms: Terms,
    /// Index of the message of the proposal that it amends.
    pub amends: Option<usize>,
}

/// Whether a plain sentence asks for a go-ahead: a question that can be answered with yes or no.
pub fn asks_go_ahead(sentence: &str) -> bool {
    const OTHER_QUESTIONS: [&str; 10] = [
        "transfer",
        "human agent",
        "one of",
        "any of",
        "any specific",
        "or would you",
        "or should i",
        "option number",
        "reservation you",
        "if there are",
    ];
    const LEADS: [&str; 6] = [
        "would you like to ",
        "would you like me to ",
        "you'd like to ",
        "you'd like me to ",
        "do you want to ",
        "do you want me to ",
    ];
    const VERBS: [&str; 9] = [
        "proceed",
        "go ahead",
        "use ",
        "book ",
        "cancel ",
        "change ",
        "upgrade ",
        "downgrade ",
        "try ",
    ];
    const AFTER_CONFIRM: [&str; 9] = [
        "if you",
        "if this",
        "if that",
        "if everything",
        "that you",
        "with a \"",
        "by ",
        "to proceed",
        "these ",
    ];
    if words::has_any(sentence, &OTHER_QUESTIONS) {
        return false;
    }
    let sentence = sentence.replace("you would like", "you'd like");
    let open = |before: &str| {
        ["which", "what", "how", "when"]
            .into_iter()
            .any(|word| words::has_word(before, word))
    };
    let asked = LEADS.into_iter().any(|lead| {
        sentence.match_indices(lead).any(|(at, _)| {
            let before = sentence.get(..at).unwrap_or_default();
            let after = sentence
                .get(at.saturating_add(lead.len())..)
                .unwrap_or_default();
            let own = lead.starts_with("you'd")
                && !["if ", "that "]
                    .into_iter()
                    .any(|word| before.ends_with(word));
            !own && !open(before) && VERBS.into_iter().any(|verb| after.starts_with(verb))
        })
    });
    asked
        || sentence
            .split_once("please confirm")
            .is_some_and(|(_, after)| {
                let after = after.trim_start();
                after.is_empty()
                    || after.starts_with(['.', ',', '!'])
                    || AFTER_CONFIRM
                        .into_iter()
                        .any(|start| after.starts_with(start))
            })
}

/// Reads the message at `at` as a proposal, when it is one. `before` are the earlier proposals with a flag that
/// tells whether each may still be amended.
pub fn read(run: &Run, at: usize, known: &Known, before: &[(Proposal, bool)]) -> Option<Proposal> {
    if !run.is_shown(at) {
        return None;
    }
    let text = run.text(at).replace(['*', '`'], "");
    let plain = words::plain(&text);
    if !words::sentences(&plain).into_iter().any(asks_go_ahead) {
        return None;
    }
    let flights = words::flights(&text);
    let mut reservations = words::reservations(&text, &known.ids);
    let amounts = words::amounts(&text);
    let cabins = words::cabins(&plain);
    let mut actions = words::actions(&plain);
    let payments = words::payments(&plain);
    let none = [
        flights.is_empty(),
        reservations.is_empty(),
        amounts.is_empty(),
        cabins.is_empty(),
    ];
    let listed = !payments.is_empty() || none.contains(&false);
    let open = before
        .last()
        .filter(|(_, open)| *open)
        .map(|(proposal, _)| proposal);
    let amended = open.filter(|_| flights.is_empty() && reservations.is_empty());
    if !listed && amended.is_none() && !actions.contains("update_reservation_baggages") {
        return None;
    }
    if reservations.is_empty() {
        reservations = last_named(run, at, known);
    }
    let own_amounts = amounts.clone();
    let cards = words::cards(&plain);
    let mut terms = Terms {
        plain,
        flights,
        reservations,
        amounts,
        cabins,
    };
    if let Some(old) = amended {
        actions.extend(&old.actions);
        terms.flights.extend(old.terms.flights.iter().cloned());
        if terms.amounts.is_empty() {
            terms.amounts.clone_from(&old.terms.amounts);
        }
        terms.cabins.extend(&old.terms.cabins);
        terms.plain = format!("{}\n{}", old.terms.plain, terms.plain);
    }
    let amends = amended.map(|old| old.at);
    Some(Proposal {
        at,
        actions,
        payments,
        cards,
        own_amounts,
        terms,
        amends,
    })
}

/// The reservation ids in the last message of the conversation before `at` that names any; when nobody has named
/// one, the reservation that a tool spoke of last.
fn last_named(run: &Run, at: usize, known: &Known) -> BTreeSet<String> {
    (0..at)
        .rev()
        .filter(|index| {
            let customer = run
                .messages
                .get(*index)
                .is_some_and(|message| message.role == Role::User);
            customer || run.is_shown(*index)
        })
        .map(|index| words::reservations(&run.text(index).replace(['*', '`'], ""), &known.ids))
        .find(|ids| !ids.is_empty())
        .unwrap_or_else(|| known.last.iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::sample;

    #[test]
    fn knows_a_question_for_a_go_ahead() {
        for yes in [
            "please confirm if you would like to proceed with this booking.",
            "please confirm.",
            "if so, please confirm, and let me know which card you'd like to use.",
            "would you like to proceed with canceling reservation nqnu5r?",
            "let me know if you would like to proceed with booking!",
            "would you like to use that gift card to cover the cost difference?",
            "could you please confirm that you would like to upgrade your cabin class?",
        ] {
            assert!(asks_go_ahead(yes), "{yes}");
        }
        for no in [
            "please confirm which flight you would like to choose, and i will proceed.",
            "please confirm the payment method, and i'll proceed with updating your reservation.",
            "let me know how you'd like to proceed!",
            "would you like to proceed with one of these options?",
            "would you like to proceed with the certificate, or would you prefer the gift card?",
            "would you like me to transfer you to a human agent?",
            "what changes would you like to make to this reservation?",
            "would you like to add travel insurance for $30?",
        ] {
            assert!(!asks_go_ahead(no), "{no}");
        }
    }

    #[test]
    fn an_amendment_takes_over_flights_and_replaces_amounts() -> Result<(), String> {
        let run = sample::run(&[
            ("user", "Book it"),
            (
                "assistant",
                "Book HAT136 in economy for $255. Please confirm if you'd like to proceed.",
            ),
            ("user", "Is that all?"),
            (
                "assistant",
                "The total is $305. Please confirm if you would like to proceed with this payment.",
            ),
        ])?;
        let known = Known::default();
        let first = read(&run, 2, &known, &[]).ok_or("no first proposal")?;
        assert!(first.amends.is_none());
        let second = read(&run, 4, &known, &[(first.clone(), true)]).ok_or("no second proposal")?;
        assert_eq!(second.amends, Some(2));
        assert_eq!(second.terms.flights, first.terms.flights);
        assert_eq!(second.terms.amounts, BTreeSet::from([30_500]));
        assert!(second.actions.contains("book_reservation"));
        let closed = read(&run, 4, &known, &[(first, false)]).ok_or("no second proposal")?;
        assert!(closed.amends.is_none() && closed.terms.flights.is_empty());
        Ok(())
    }

    #[test]
    fn a_list_of_options_is_no_proposal() -> Result<(), String> {
        let run = sample::run(&[
            ("user", "Book it"),
            (
                "assistant",
                "1. HAT136, $152\n2. HAT218, $158\nPlease let me know which option you would like to book.",
            ),
        ])?;
        assert!(read(&run, 2, &Known::default(), &[]).is_none());
        Ok(())
    }

    #[test]
    fn takes_the_reservation_last_named() -> Result<(), String> {
        let run = sample::run(&[
            ("user", "It is OBUT9V"),
            (
                "assistant",
                "Upgrade to business for $600. Would you like to proceed?",
            ),
        ])?;
        let found = read(&run, 2, &Known::default(), &[]).ok_or("no proposal")?;
        assert_eq!(
            found.terms.reservations,
            BTreeSet::from(["OBUT9V".to_owned()])
        );
        Ok(())
    }
}
