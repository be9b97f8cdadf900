//! Whether a proposal lists what a call does.

use crate::proposal::{self, Booking, Known, Proposal, Terms};
use crate::transcript::Call;
use crate::words;
use serde_json::Value;
use std::collections::BTreeSet;

/// A call that was already made under a proposal.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The call.
    pub call: Call,
    /// Whether the tool did it.
    pub succeeded: bool,
}

/// What the call does and the proposal does not list. `said` holds the customer's words since, the latest first.
pub fn missing(proposal: &Proposal, call: &Call, known: &Known, said: &[String]) -> Vec<String> {
    let terms = &proposal.terms;
    let mut missing = Vec::new();
    if let Some(id) = call.text("reservation_id").filter(|id| !terms.reservations.contains(*id)) {
        missing.push(format!("reservation {id}"));
    }
    let booking = call.text("reservation_id").and_then(|id| known.bookings.get(id)).cloned().unwrap_or_default();
    match call.tool.as_str() {
        "book_reservation" => {
            flights(&booking, call, terms, &mut missing);
            cabin(&booking, call, terms, &mut missing);
            total(call, terms, &mut missing);
        }
        "update_reservation_flights" => {
            flights(&booking, call, terms, &mut missing);
            cabin(&booking, call, terms, &mut missing);
        }
        "update_reservation_baggages" => bags(&booking, call, terms, said, &mut missing),
        "update_reservation_passengers" => passengers(&booking, call, terms, &mut missing),
        "send_certificate" => {
            let amount = call.arguments.get("amount").and_then(cents);
            missing.extend(amount.filter(|cents| !terms.amounts.contains(cents)).map(dollars));
        }
        _ => {}
    }
    payment(proposal, call, said, &mut missing);
    missing
}

/// New flights, and kept flights on another day.
fn flights(booking: &Booking, call: &Call, terms: &Terms, missing: &mut Vec<String>) {
    let now = proposal::legs(call.arguments.get("flights"));
    for (number, day) in now.difference(&booking.legs) {
        if !terms.flights.contains(number) {
            missing.push(format!("flight {number}"));
        } else if booking.legs.iter().any(|(kept, _)| kept == number) && !words::names_day(&terms.plain, day) {
            missing.push(format!("{number} on {day}"));
        }
    }
    if now.is_subset(&booking.legs) && now.len() < booking.legs.len() {
        missing.extend(booking.legs.difference(&now).map(|(number, _)| format!("dropping {number}")));
    }
}

/// Another cabin.
fn cabin(booking: &Booking, call: &Call, terms: &Terms, missing: &mut Vec<String>) {
    if let Some(cabin) = call.text("cabin").filter(|cabin| *cabin != booking.cabin && !terms.cabins.contains(*cabin)) {
        missing.push(format!("cabin {cabin}"));
    }
}

/// What a new booking costs: the sum, or each payment.
fn total(call: &Call, terms: &Terms, missing: &mut Vec<String>) {
    let paid: Vec<u64> = call
        .arguments
        .get("payment_methods")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|payment| payment.get("amount").and_then(cents))
        .filter(|amount| *amount > 0)
        .collect();
    let sum = paid.iter().fold(0_u64, |sum, amount| sum.saturating_add(*amount));
    if !terms.amounts.contains(&sum) && !paid.iter().all(|amount| terms.amounts.contains(amount)) {
        missing.push(dollars(sum));
    }
}

/// More bags, and that they cost something.
fn bags(booking: &Booking, call: &Call, terms: &Terms, said: &[String], missing: &mut Vec<String>) {
    let number = |name: &str| call.arguments.get(name).and_then(Value::as_u64).unwrap_or_default();
    let all = number("total_baggages");
    let listed: BTreeSet<u64> = terms
        .plain
        .lines()
        .chain(said.last().map(String::as_str))
        .filter(|line| words::words(line).any(|word| word.starts_with("bag") || word.starts_with("luggage")))
        .flat_map(words::counts)
        .collect();
    if !listed.contains(&all) && !listed.contains(&all.saturating_sub(booking.bags)) {
        missing.push(format!("{all} bags"));
    }
    if number("nonfree_baggages") > booking.paid_bags && terms.amounts.is_empty() {
        missing.push("price of the bags".to_owned());
    }
}

/// Other passengers.
fn passengers(booking: &Booking, call: &Call, terms: &Terms, missing: &mut Vec<String>) {
    let now = proposal::passengers(call.arguments.get("passengers"));
    missing.extend(
        now.difference(&booking.passengers)
            .filter(|name| !terms.plain.contains(&words::plain(name)))
            .map(|name| format!("passenger {name}")),
    );
}

/// A kind of payment that neither the proposal nor the customer named, where either named any.
fn payment(proposal: &Proposal, call: &Call, said: &[String], missing: &mut Vec<String>) {
    let methods = call.arguments.get("payment_methods").and_then(Value::as_array);
    let several = methods.into_iter().flatten().filter(|payment| payment.get("amount").and_then(cents) != Some(0));
    let mut used: BTreeSet<&str> = several.filter_map(|payment| payment.get("payment_id")?.as_str()).collect();
    let new_booking = !used.is_empty();
    used.extend(call.text("payment_id"));
    let asked = said.iter().map(|words| words::payments(words)).find(|kinds| !kinds.is_empty());
    let mut named = asked.unwrap_or_default();
    if named.is_empty() || new_booking {
        named.extend(&proposal.payments);
    }
    if !named.is_empty() {
        let other = used.into_iter().filter(|id| !named.iter().any(|kind| id.starts_with(kind)));
        missing.extend(other.map(|id| format!("payment with {id}")));
    }
}

/// What differs from the earlier calls of the same tool on the same reservation under the same proposal, and is
/// neither listed nor named by the customer: one consent covers one set of arguments.
pub fn changed(earlier: &[Earlier], call: &Call, terms: &Terms, said: &[String]) -> Vec<String> {
    let same = |old: &&Earlier| {
        old.call.tool == call.tool && old.call.text("reservation_id") == call.text("reservation_id")
    };
    let Some(old) = earlier.iter().rev().find(same) else { return Vec::new() };
    if old.call.arguments == call.arguments {
        return Vec::new();
    }
    let before: BTreeSet<String> = old.call.arguments.iter().flat_map(|(name, value)| leaves(name, value)).collect();
    let now: BTreeSet<String> = call.arguments.iter().flat_map(|(name, value)| leaves(name, value)).collect();
    let new: Vec<&String> = now.difference(&before).collect();
    if new.is_empty() {
        return vec!["other arguments than in the first attempt".to_owned()];
    }
    let listed = |leaf: &str| {
        let (_, value) = leaf.split_once('=').unwrap_or(("", leaf));
        let value = words::plain(value);
        let amount = value.parse::<u64>().ok().and_then(|whole| whole.checked_mul(100));
        amount.is_some_and(|cents| terms.amounts.contains(&cents))
            || (value.len() > 2
                && (terms.plain.contains(&value) || said.iter().any(|words| words.contains(&value))))
    };
    new.into_iter().filter(|leaf| !listed(leaf)).map(|leaf| format!("{leaf} (new in this attempt)")).collect()
}

/// The single values in a value, each as `name=value`.
fn leaves(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members.iter().flat_map(|(name, value)| leaves(name, value)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| leaves(name, item)).collect(),
        Value::String(text) => vec![format!("{name}={text}")],
        other => vec![format!("{name}={other}")],
    }
}

/// An amount of the tools, which count in dollars.
fn cents(value: &Value) -> Option<u64> {
    let text = value.to_string();
    let found = words::amounts(&format!("${text}"));
    found.into_iter().next()
}

fn dollars(cents: u64) -> String {
    let (whole, part) = (cents / 100, cents % 100);
    if part == 0 { format!("${whole}") } else { format!("${whole}.{part:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Run, sample};

    const BOOKED: &str = "{\"reservation_id\":\"ABC123\",\"cabin\":\"economy\",\"flights\":[{\"flight_number\":\
        \"HAT001\",\"date\":\"2024-05-20\"},{\"flight_number\":\"HAT002\",\"date\":\"2024-05-25\"}],\
        \"passengers\":[],\"total_baggages\":1,\"nonfree_baggages\":0}";

    /// What is missing for the last call, under the only proposal.
    fn under(text: &str, answer: &str, call: &str) -> Result<Vec<String>, String> {
        let read = format!("get_reservation_details {{\"reservation_id\":\"ABC123\"}} => {BOOKED}");
        let run: Run = sample::run(&[
            ("user", "Hi"),
            ("call", &read),
            ("assistant", text),
            ("user", answer),
            ("call", &format!("{call} => Error: no")),
        ])?;
        let mut known = Known::default();
        known.learn(run.messages.get(2).and_then(|message| message.call.as_ref()).ok_or("no read")?);
        let proposal = proposal::read(&run, 4, &known, &[]).ok_or("no proposal")?;
        let call = run.messages.get(6).and_then(|message| message.call.as_ref()).ok_or("no call")?;
        Ok(missing(&proposal, call, &known, &[words::plain(answer)]))
    }

    fn change(cabin: &str, legs: &[(&str, &str)], payment: &str) -> String {
        let legs: Vec<Value> =
            legs.iter().map(|(number, day)| serde_json::json!({"flight_number": number, "date": day})).collect();
        let arguments = serde_json::json!({"reservation_id": "ABC123", "cabin": cabin, "flights": legs,
            "payment_id": payment});
        format!("update_reservation_flights {arguments}")
    }

    #[test]
    fn only_what_is_new_must_be_listed() -> Result<(), String> {
        let text = "Change ABC123 to HAT009. Would you like to proceed?";
        let legs = [("HAT001", "2024-05-20"), ("HAT009", "2024-05-25")];
        assert!(under(text, "Yes", &change("economy", &legs, "gift_card_1"))?.is_empty());
        assert_eq!(under(text, "Yes", &change("business", &legs, "gift_card_1"))?, ["cabin business"]);
        let legs = [("HAT001", "2024-05-20"), ("HAT008", "2024-05-25")];
        assert_eq!(under(text, "Yes", &change("economy", &legs, "gift_card_1"))?, ["flight HAT008"]);
        Ok(())
    }

    #[test]
    fn a_kept_flight_on_another_day_and_a_dropped_flight_must_be_listed() -> Result<(), String> {
        let text = "Change ABC123: HAT001 moves. Would you like to proceed?";
        let legs = [("HAT001", "2024-05-21"), ("HAT002", "2024-05-25")];
        assert_eq!(under(text, "Yes", &change("economy", &legs, "x"))?, ["HAT001 on 2024-05-21"]);
        let legs = [("HAT001", "2024-05-20")];
        assert_eq!(under(text, "Yes", &change("economy", &legs, "x"))?, ["dropping HAT002"]);
        Ok(())
    }

    #[test]
    fn the_customer_chooses_the_payment() -> Result<(), String> {
        let text = "Change ABC123 to HAT009, paid by gift card. Would you like to proceed?";
        let call = change("economy", &[("HAT001", "2024-05-20"), ("HAT009", "2024-05-25")], "credit_card_1");
        assert_eq!(under(text, "Yes", &call)?, ["payment with credit_card_1"]);
        assert!(under(text, "Yes, with my Visa", &call)?.is_empty());
        Ok(())
    }

    #[test]
    fn bags_need_a_number_and_a_price() -> Result<(), String> {
        let call = |paid: u64| {
            format!(
                "update_reservation_baggages {{\"reservation_id\":\"ABC123\",\"total_baggages\":3,\
                 \"nonfree_baggages\":{paid},\"payment_id\":\"x\"}}"
            )
        };
        let text = "Add two checked bags to ABC123. Would you like to proceed?";
        assert!(under(text, "Yes", &call(0))?.is_empty());
        assert_eq!(under(text, "Yes", &call(2))?, ["price of the bags"]);
        let text = "Add the checked bags to ABC123. Would you like to proceed?";
        assert_eq!(under(text, "Yes", &call(0))?, ["3 bags"]);
        Ok(())
    }

    #[test]
    fn a_booking_needs_its_price() -> Result<(), String> {
        let call = "book_reservation {\"cabin\":\"economy\",\"flights\":[{\"flight_number\":\"HAT001\",\"date\":\
            \"2024-05-20\"}],\"payment_methods\":[{\"payment_id\":\"x\",\"amount\":250},{\"payment_id\":\"y\",\
            \"amount\":55}]}";
        let listed = "Book HAT001 in economy for $305. Would you like to proceed?";
        assert!(under(listed, "Yes", call)?.is_empty());
        let parts = "Book HAT001 in economy: $250 and $55. Would you like to proceed?";
        assert!(under(parts, "Yes", call)?.is_empty());
        let other = "Book HAT001 in economy for $255. Would you like to proceed?";
        assert_eq!(under(other, "Yes", call)?, ["$305"]);
        Ok(())
    }

    #[test]
    fn a_retry_with_another_card_is_another_change() -> Result<(), String> {
        let run = sample::run(&[
            ("call", "update_reservation_baggages {\"reservation_id\":\"A\",\"payment_id\":\"gift_card_1\"} => Error"),
            ("call", "update_reservation_baggages {\"reservation_id\":\"A\",\"payment_id\":\"gift_card_2\"} => ok"),
        ])?;
        let calls: Vec<&Call> = run.messages.iter().filter_map(|message| message.call.as_ref()).collect();
        let [first, second] = calls.as_slice() else { return Err("two calls".to_owned()) };
        let earlier = [Earlier { call: (*first).clone(), succeeded: false }];
        let mut terms = Terms::default();
        let found = changed(&earlier, second, &terms, &[]);
        assert_eq!(found, ["payment_id=gift_card_2 (new in this attempt)"]);
        assert!(changed(&earlier, first, &terms, &[]).is_empty());
        terms.plain = "or gift_card_2".to_owned();
        assert!(changed(&earlier, second, &terms, &[]).is_empty());
        Ok(())
    }
}
