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

/// What is known beside the proposal when a call is judged.
pub struct Circumstances<'a> {
    /// What the tools have said.
    pub known: &'a Known,
    /// The customer's words since the proposal, plain, the latest first.
    pub said: &'a [String],
    /// All words of the conversation before the call, plain.
    pub conversation: &'a str,
}

/// What the call does and the proposal does not list.
pub fn missing(proposal: &Proposal, call: &Call, around: &Circumstances<'_>) -> Vec<String> {
    let terms = &proposal.terms;
    let mut missing = Vec::new();
    if let Some(id) = call
        .text("reservation_id")
        .filter(|id| !terms.reservations.contains(*id))
    {
        missing.push(format!("reservation {id}"));
    }
    let booking = call
        .text("reservation_id")
        .and_then(|id| around.known.bookings.get(id))
        .cloned()
        .unwrap_or_default();
    match call.tool.as_str() {
        "book_reservation" => {
            flights(&booking, call, terms, around.conversation, &mut missing);
            cabin(&booking, call, terms, &mut missing);
            total(call, terms, &mut missing);
        }
        "update_reservation_flights" => {
            flights(&booking, call, terms, around.conversation, &mut missing);
            cabin(&booking, call, terms, &mut missing);
        }
        "update_reservation_baggages" => bags(&booking, call, proposal, around.said, &mut missing),
        "update_reservation_passengers" => passengers(&booking, call, terms, &mut missing),
        "send_certificate" => {
            let amount = call.arguments.get("amount").and_then(cents);
            missing.extend(
                amount
                    .filter(|cents| !terms.amounts.contains(cents))
                    .map(dollars),
            );
        }
        _ => {}
    }
    payment(proposal, call, around, &mut missing);
    missing
}

/// New flights, and kept flights on another day.
fn flights(
    booking: &Booking,
    call: &Call,
    terms: &Terms,
    conversation: &str,
    missing: &mut Vec<String>,
) {
    let now = proposal::legs(call.arguments.get("flights"));
    for (number, day) in now.difference(&booking.legs) {
        if !terms.flights.contains(number) {
            missing.push(format!("flight {number}"));
        } else if booking.legs.iter().any(|(kept, _)| kept == number)
            && !words::names_day(conversation, day)
        {
            missing.push(format!("{number} on {day}"));
        }
    }
    if now.is_subset(&booking.legs) && now.len() < booking.legs.len() {
        missing.extend(
            booking
                .legs
                .difference(&now)
                .map(|(number, _)| format!("dropping {number}")),
        );
    }
}

/// Another cabin than the booking has, or than the proposal gives a flight of the call.
fn cabin(booking: &Booking, call: &Call, terms: &Terms, missing: &mut Vec<String>) {
    let Some(cabin) = call.text("cabin") else {
        return;
    };
    if cabin != booking.cabin && !terms.cabins.contains(cabin) {
        missing.push(format!("cabin {cabin}"));
    }
    for (number, _) in proposal::legs(call.arguments.get("flights")) {
        if let Some(other) = words::cabin_of(&terms.plain, &number).filter(|other| *other != cabin)
        {
            missing.push(format!("{number} in {cabin} (listed: {other})"));
        }
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
    let sum = paid
        .iter()
        .fold(0_u64, |sum, amount| sum.saturating_add(*amount));
    if !terms.amounts.contains(&sum) && !paid.iter().all(|amount| terms.amounts.contains(amount)) {
        missing.push(dollars(sum));
    }
}

/// More bags, and that they cost something.
fn bags(
    booking: &Booking,
    call: &Call,
    proposal: &Proposal,
    said: &[String],
    missing: &mut Vec<String>,
) {
    let speaks = |line: &&str| {
        words::words(line).any(|word| word.starts_with("bag") || word.starts_with("luggage"))
    };
    let lines = || proposal.terms.plain.lines();
    let number = |name: &str| {
        call.arguments
            .get(name)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let all = number("total_baggages");
    let answer = said.last().map(String::as_str);
    let listed: BTreeSet<u64> = lines()
        .chain(answer)
        .filter(speaks)
        .flat_map(words::counts)
        .collect();
    let only_bags = proposal
        .actions
        .iter()
        .all(|tool| *tool == "update_reservation_baggages");
    let priced = lines().filter(speaks).any(|line| line.contains('$'))
        || (only_bags && !proposal.own_amounts.is_empty());
    if !listed.contains(&all) && !listed.contains(&all.saturating_sub(booking.bags)) {
        missing.push(format!("{all} bags"));
    }
    if number("nonfree_baggages") > booking.paid_bags && !priced {
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

/// A kind of payment, or a card, that neither the proposal nor the customer named, where either named any.
fn payment(
    proposal: &Proposal,
    call: &Call,
    around: &Circumstances<'_>,
    missing: &mut Vec<String>,
) {
    let methods = call
        .arguments
        .get("payment_methods")
        .and_then(Value::as_array);
    let charged = |payment: &&Value| payment.get("amount").and_then(cents) != Some(0);
    let several = methods.into_iter().flatten().filter(charged);
    let mut used: BTreeSet<&str> = several
        .filter_map(|payment| payment.get("payment_id")?.as_str())
        .collect();
    let new_booking = !used.is_empty();
    used.extend(call.text("payment_id"));
    let named = named_last(
        around.said,
        words::payments,
        &proposal.payments,
        new_booking,
    );
    let cards = named_last(around.said, words::cards, &proposal.cards, new_booking);
    for id in used {
        if !named.is_empty() && !named.iter().any(|kind| id.starts_with(kind)) {
            missing.push(format!("payment with {id}"));
        }
        let card = around
            .known
            .cards
            .get(id)
            .filter(|card| !cards.is_empty() && !cards.contains(*card));
        missing.extend(card.map(|card| format!("card ending in {card}")));
    }
}

/// What the customer named last or, where they named nothing (and for a new booking beside it), the proposal.
fn named_last<T: Ord + Clone>(
    said: &[String],
    read: impl Fn(&str) -> BTreeSet<T>,
    proposed: &BTreeSet<T>,
    both: bool,
) -> BTreeSet<T> {
    let mut named = said
        .iter()
        .map(|words| read(words))
        .find(|found| !found.is_empty())
        .unwrap_or_default();
    if named.is_empty() || both {
        named.extend(proposed.iter().cloned());
    }
    named
}

/// What differs from the earlier calls of the same tool on the same reservation that the same proposal covers, and
/// is neither listed nor named by the customer: one consent covers one set of arguments.
pub fn changed(
    earlier: &[Earlier],
    call: &Call,
    terms: &Terms,
    around: &Circumstances<'_>,
) -> Vec<String> {
    let same = |old: &&Earlier| {
        old.call.tool == call.tool && old.call.text("reservation_id") == call.text("reservation_id")
    };
    let before: Vec<&Earlier> = earlier.iter().filter(same).collect();
    let Some(old) = before.last() else {
        return Vec::new();
    };
    if before
        .iter()
        .any(|old| old.call.arguments == call.arguments)
    {
        return Vec::new();
    }
    let before: BTreeSet<String> = old
        .call
        .arguments
        .iter()
        .flat_map(|(name, value)| leaves(name, value))
        .collect();
    let now: BTreeSet<String> = call
        .arguments
        .iter()
        .flat_map(|(name, value)| leaves(name, value))
        .collect();
    let new: Vec<&String> = now.difference(&before).collect();
    if new.is_empty() {
        return vec!["other arguments than in the first attempt".to_owned()];
    }
    let listed = |leaf: &str| {
        let (name, value) = leaf.split_once('=').unwrap_or(("", leaf));
        let mut names = vec![words::plain(value)];
        if name == "payment_id" {
            names.extend(
                around
                    .known
                    .payments
                    .get(value)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        let amount = value
            .parse::<u64>()
            .ok()
            .and_then(|whole| whole.checked_mul(100));
        let said = |name: &String| {
            terms.plain.contains(name) || around.said.iter().any(|said| said.contains(name))
        };
        amount.is_some_and(|cents| terms.amounts.contains(&cents))
            || names.iter().any(|name| name.len() > 2 && said(name))
    };
    new.into_iter()
        .filter(|leaf| !listed(leaf))
        .map(|leaf| format!("{leaf} (new in this attempt)"))
        .collect()
}

/// The single values in a value, each as `name=value`.
fn leaves(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| leaves(name, value))
            .collect(),
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
    if part == 0 {
        format!("${whole}")
    } else {
        format!("${whole}.{part:02}")
    }
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
        known.learn(
            run.messages
                .get(2)
                .and_then(|message| message.call.as_ref())
                .ok_or("no read")?,
        );
        let proposal = proposal::read(&run, 4, &known, &[]).ok_or("no proposal")?;
        let call = run
            .messages
            .get(6)
            .and_then(|message| message.call.as_ref())
            .ok_or("no call")?;
        let said = [words::plain(answer)];
        let conversation = words::plain(&format!("{text} {answer}"));
        Ok(missing(
            &proposal,
            call,
            &Circumstances {
                known: &known,
                said: &said,
                conversation: &conversation,
            },
        ))
    }

    fn change(cabin: &str, legs: &[(&str, &str)], payment: &str) -> String {
        let legs: Vec<Value> = legs
            .iter()
            .map(|(number, day)| serde_json::json!({"flight_number": number, "date": day}))
            .collect();
        let arguments = serde_json::json!({"reservation_id": "ABC123", "cabin": cabin, "flights": legs,
            "payment_id": payment});
        format!("update_reservation_flights {arguments}")
    }

    #[test]
    fn only_what_is_new_must_be_listed() -> Result<(), String> {
        let text = "Change ABC123 to HAT009. Would you like to proceed?";
        let legs = [("HAT001", "2024-05-20"), ("HAT009", "2024-05-25")];
        assert!(under(text, "Yes", &change("economy", &legs, "gift_card_1"))?.is_empty());
        assert_eq!(
            under(text, "Yes", &change("business", &legs, "gift_card_1"))?,
            ["cabin business"]
        );
        let legs = [("HAT001", "2024-05-20"), ("HAT008", "2024-05-25")];
        assert_eq!(
            under(text, "Yes", &change("economy", &legs, "gift_card_1"))?,
            ["flight HAT008"]
        );
        Ok(())
    }

    #[test]
    fn a_kept_flight_on_another_day_and_a_dropped_flight_must_be_listed() -> Result<(), String> {
        let text = "Change ABC123: HAT001 moves. Would you like to proceed?";
        let legs = [("HAT001", "2024-05-21"), ("HAT002", "2024-05-25")];
        assert_eq!(
            under(text, "Yes", &change("economy", &legs, "x"))?,
            ["HAT001 on 2024-05-21"]
        );
        let legs = [("HAT001", "2024-05-20")];
        assert_eq!(
            under(text, "Yes", &change("economy", &legs, "x"))?,
            ["dropping HAT002"]
        );
        Ok(())
    }

    #[test]
    fn a_cabin_for_one_flight_is_not_one_for_all() -> Result<(), String> {
        let text =
            "ABC123: HAT001 in business class, HAT002 in economy class. Would you like to proceed?";
        let one_line = text.replace(", HAT002", ".\nHAT002");
        let legs = [("HAT001", "2024-05-20"), ("HAT002", "2024-05-25")];
        let found = under(&one_line, "Yes", &change("business", &legs, "x"))?;
        assert_eq!(found, ["HAT002 in business (listed: economy)"]);
        Ok(())
    }

    #[test]
    fn the_customer_chooses_the_payment() -> Result<(), String> {
        let text = "Change ABC123 to HAT009, paid by gift card. Would you like to proceed?";
        let call = change(
            "economy",
            &[("HAT001", "2024-05-20"), ("HAT009", "2024-05-25")],
            "credit_card_1",
        );
        assert_eq!(under(text, "Yes", &call)?, ["payment with credit_card_1"]);
        assert!(under(text, "Yes, with my Visa", &call)?.is_empty());
        Ok(())
    }

    #[test]
    fn another_card_than_the_one_named_is_another_payment() -> Result<(), String> {
        let profile = "get_user_details {} => {\"payment_methods\":{\"credit_card_1\":{\"last_four\":\"7334\"},\
            \"credit_card_2\":{\"last_four\":\"1111\"}}}";
        let ask = "Upgrade ABC123 to business, charged to your card ending in 7334. Would you like to proceed?";
        let call = |card: &str| {
            format!(
                "update_reservation_flights {{\"reservation_id\":\"ABC123\",\"cabin\":\"business\",\
                 \"payment_id\":\"{card}\"}} => ok"
            )
        };
        let (first, second) = (call("credit_card_1"), call("credit_card_2"));
        let run = sample::run(&[
            ("call", profile),
            ("assistant", ask),
            ("call", &first),
            ("call", &second),
        ])?;
        let calls: Vec<&Call> = run
            .messages
            .iter()
            .filter_map(|message| message.call.as_ref())
            .collect();
        let [profile, first, second] = calls.as_slice() else {
            return Err("three calls".to_owned());
        };
        let mut known = Known::default();
        known.learn(profile);
        let proposal = proposal::read(&run, 3, &known, &[]).ok_or("no proposal")?;
        let around = Circumstances {
            known: &known,
            said: &[],
            conversation: "",
        };
        assert!(missing(&proposal, first, &around).is_empty());
        assert_eq!(missing(&proposal, second, &around), ["card ending in 1111"]);
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
        let text = "Add two checked bags to ABC123 for $100. Would you like to proceed?";
        assert!(under(text, "Yes", &call(2))?.is_empty());
        let text =
            "Change ABC123 to HAT009 for $242.\nAdd two checked bags. Would you like to proceed?";
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
            (
                "call",
                "update_reservation_baggages {\"reservation_id\":\"A\",\"payment_id\":\"gift_card_1\"} => Error",
            ),
            (
                "call",
                "update_reservation_baggages {\"reservation_id\":\"A\",\"payment_id\":\"gift_card_2\"} => ok",
            ),
        ])?;
        let calls: Vec<&Call> = run
            .messages
            .iter()
            .filter_map(|message| message.call.as_ref())
            .collect();
        let [first, second] = calls.as_slice() else {
            return Err("two calls".to_owned());
        };
        let earlier = [Earlier {
            call: (*first).clone(),
            succeeded: false,
        }];
        let mut terms = Terms::default();
        let mut known = Known::default();
        let around = Circumstances {
            known: &known,
            said: &[],
            conversation: "",
        };
        let found = changed(&earlier, second, &terms, &around);
        assert_eq!(found, ["payment_id=gift_card_2 (new in this attempt)"]);
        assert!(changed(&earlier, first, &terms, &around).is_empty());
        terms.plain = "or the one with $200".to_owned();
        known
            .payments
            .insert("gift_card_2".to_owned(), vec!["$200".to_owned()]);
        let around = Circumstances {
            known: &known,
            said: &[],
            conversation: "",
        };
        assert!(changed(&earlier, second, &terms, &around).is_empty());
        Ok(())
    }
}
