//! What can be read from words alone: sentences, booking details, and the kinds of change that a text speaks of.

use std::collections::BTreeSet;

/// Lower case, straight apostrophes, no Markdown emphasis.
pub fn plain(text: &str) -> String {
    text.to_lowercase()
        .replace('\u{2019}', "'")
        .replace(['*', '`'], "")
}

/// The sentences of a plain text, each with its closing mark. A line is at least one sentence.
pub fn sentences(plain: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in plain.lines() {
        let mut start = 0;
        for (at, mark) in line.char_indices() {
            let end = at.saturating_add(mark.len_utf8());
            let rest = line.get(end..).unwrap_or_default();
            if matches!(mark, '.' | '!' | '?')
                && rest
                    .chars()
                    .next()
                    .is_none_or(|next| !next.is_alphanumeric())
            {
                found.extend(line.get(start..end));
                start = end;
            }
        }
        found.extend(line.get(start..));
    }
    found
        .into_iter()
        .map(str::trim)
        .filter(|sentence| sentence.chars().any(char::is_alphanumeric))
        .collect()
}

/// The words of a text: runs of letters, digits, underscores and apostrophes.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '\''))
        .filter(|word| !word.is_empty())
}

/// Whether `word` occurs as a whole word, whatever its case.
pub fn has_word(text: &str, word: &str) -> bool {
    words(text).any(|found| found.eq_ignore_ascii_case(word))
}

/// Whether any of the phrases occurs.
pub fn has_any(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// The flight numbers of this airline: `HAT` and three digits.
pub fn flights(text: &str) -> BTreeSet<String> {
    words(text)
        .filter(|word| is_flight(word))
        .map(str::to_uppercase)
        .collect()
}

fn is_flight(word: &str) -> bool {
    word.len() == 6
        && word
            .get(..3)
            .is_some_and(|airline| airline.eq_ignore_ascii_case("hat"))
        && word.chars().skip(3).all(|digit| digit.is_ascii_digit())
}

/// The cabin in which a plain text puts a flight: the only one named on the flight's line or, where that names
/// none, on the lines below it up to a blank one or one with a flight number. The last such place counts.
pub fn cabin_of(plain: &str, flight: &str) -> Option<&'static str> {
    let lines: Vec<&str> = plain.lines().collect();
    let mut found = None;
    for (at, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| flights(line).contains(flight))
    {
        let mut named = cabins(line);
        if named.is_empty() {
            let below = lines.iter().skip(at.saturating_add(1));
            let block =
                below.take_while(|line| !line.trim().is_empty() && flights(line).is_empty());
            named = block.flat_map(|line| cabins(line)).collect();
        }
        let mut named = named.into_iter();
        if let (Some(only), None) = (named.next(), named.next()) {
            found = Some(only);
        }
    }
    found
}

/// The reservation ids: six capital letters and digits, with at least one of each, or an id that is known already.
pub fn reservations(text: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    words(text)
        .filter(|word| {
            known.contains(*word)
                || (word.len() == 6
                    && word
                        .chars()
                        .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
                    && word.chars().any(|letter| letter.is_ascii_digit())
                    && word.chars().any(|letter| letter.is_ascii_uppercase())
                    && !is_flight(word))
        })
        .map(str::to_owned)
        .collect()
}

/// The amounts of money, in cents.
pub fn amounts(text: &str) -> BTreeSet<u64> {
    text.split('$')
        .skip(1)
        .filter_map(|rest| {
            let digits: String = rest
                .chars()
                .take_while(|letter| letter.is_ascii_digit() || matches!(letter, ',' | '.'))
                .collect();
            let digits = digits.replace(',', "");
            let (whole, part) = digits.split_once('.').unwrap_or((&digits, ""));
            let cents = format!("{part:0<2}");
            let cents: u64 = cents.get(..2)?.parse().ok()?;
            whole
                .parse::<u64>()
                .ok()?
                .checked_mul(100)?
                .checked_add(cents)
        })
        .collect()
}

/// The whole numbers up to 99, in digits or (up to ten) in words; `a` and `an` count as one.
pub fn counts(plain: &str) -> BTreeSet<u64> {
    const WORDS: [&str; 11] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    words(plain)
        .filter_map(|word| match word {
            "a" | "an" => Some(1),
            _ => WORDS
                .iter()
                .position(|name| *name == word)
                .and_then(|at| u64::try_from(at).ok())
                .or_else(|| word.parse().ok().filter(|number| *number < 100)),
        })
        .collect()
}

/// The cabins that a plain text names.
pub fn cabins(plain: &str) -> BTreeSet<&'static str> {
    let plain = plain.replace('_', " ");
    let rest = plain.replace("basic economy", "");
    let mut found = BTreeSet::new();
    if plain.contains("basic economy") {
        found.insert("basic_economy");
    }
    if has_word(&rest, "economy") {
        found.insert("economy");
    }
    if has_word(&rest, "business") {
        found.insert("business");
    }
    found
}

/// The kinds of payment that a plain text names.
pub fn payments(plain: &str) -> BTreeSet<&'static str> {
    let kinds: [(&str, &[&str]); 3] = [
        ("gift_card", &["gift card", "gift_card"]),
        (
            "credit_card",
            &[
                "credit card",
                "credit_card",
                "visa",
                "mastercard",
                "card ending",
            ],
        ),
        ("certificate", &["certificate"]),
    ];
    kinds
        .into_iter()
        .filter(|(_, names)| has_any(plain, names))
        .map(|(kind, _)| kind)
        .collect()
}

/// The cards that a plain text names by their last four digits.
pub fn cards(plain: &str) -> BTreeSet<String> {
    plain
        .split("ending in ")
        .skip(1)
        .filter_map(|rest| rest.get(..4))
        .filter(|digits| digits.chars().all(|digit| digit.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// Whether a day, `2024-05-27`, is named so or as `may 27`.
pub fn names_day(plain: &str, day: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if plain.contains(day) {
        return true;
    }
    let mut parts = day
        .split('-')
        .skip(1)
        .filter_map(|part| part.parse::<usize>().ok());
    let (Some(month), Some(date)) = (parts.next(), parts.next()) else {
        return false;
    };
    let Some(month) = month.checked_sub(1).and_then(|at| MONTHS.get(at)) else {
        return false;
    };
    let found: Vec<&str> = words(plain).collect();
    found.windows(2).any(|pair| match pair {
        [name, number] => {
            name == month
                && number
                    .trim_end_matches(|letter: char| letter.is_alphabetic())
                    .parse()
                    == Ok(date)
        }
        _ => false,
    })
}

/// The tools that a plain text speaks of, line by line.
pub fn actions(plain: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for line in plain.lines() {
        let line = line
            .replace("change of plan", "")
            .replace("hours of booking", "")
            .replace("no changes", "");
        let starts = |stem: &str| words(&line).any(|word| word.starts_with(stem));
        let change = ["chang", "updat", "modif", "switch", "replac"]
            .into_iter()
            .any(starts);
        if has_any(&line, &["rebook"]) || has_word(&line, "book") || has_word(&line, "booking") {
            found.insert("book_reservation");
        }
        if starts("cancel") {
            found.insert("cancel_reservation");
        }
        if change
            || starts("upgrad")
            || starts("downgrad")
            || has_any(&line, &["new flight", "new return"])
        {
            found.insert("update_reservation_flights");
        }
        if (starts("bag") || starts("luggage"))
            && (starts("add") || change)
            && !has_word(&line, "no")
        {
            found.insert("update_reservation_baggages");
        }
        if change && (starts("passenger") || has_word(&line, "name")) {
            found.insert("update_reservation_passengers");
        }
        if starts("certificate")
            && ["issu", "send", "compensat", "offer"]
                .into_iter()
                .any(starts)
        {
            found.insert("send_certificate");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn splits_sentences_but_not_amounts() {
        assert_eq!(
            sentences("that is $1,625.50 in all. proceed?\n- business\n---"),
            ["that is $1,625.50 in all.", "proceed?", "- business"]
        );
    }

    #[test]
    fn reads_details() {
        let text = "Change **OBUT9V** (and HATHAT) to HAT136 on May 27th for $1,203.5 or $6";
        assert_eq!(flights(text), set(&["HAT136"]));
        assert_eq!(reservations(text, &BTreeSet::new()), set(&["OBUT9V"]));
        assert_eq!(
            reservations(text, &set(&["HATHAT"])),
            set(&["HATHAT", "OBUT9V"])
        );
        assert_eq!(amounts(text), BTreeSet::from([600, 120_350]));
        assert!(names_day(&plain(text), "2024-05-27"));
        assert!(!names_day(&plain(text), "2024-05-28"));
        assert_eq!(
            counts("add two bags, 12 in all, a suitcase"),
            BTreeSet::from([1, 2, 12])
        );
    }

    #[test]
    fn reads_the_cabin_of_each_flight() {
        let text = "- out: business class on hat072\n- back: hat278\n  - cabin: economy\n\n- hat279: economy or business";
        assert_eq!(cabin_of(text, "HAT072"), Some("business"));
        assert_eq!(cabin_of(text, "HAT278"), Some("economy"));
        assert_eq!(cabin_of(text, "HAT279"), None);
        assert_eq!(cabin_of(text, "HAT280"), None);
    }

    #[test]
    fn tells_economy_from_basic_economy() {
        assert_eq!(
            cabins("from basic economy to business"),
            BTreeSet::from(["basic_economy", "business"])
        );
        assert_eq!(
            cabins("basic_economy, then economy"),
            BTreeSet::from(["basic_economy", "economy"])
        );
    }

    #[test]
    fn reads_what_is_to_be_done() {
        assert_eq!(
            actions("reason: change of plan\ncancel it"),
            BTreeSet::from(["cancel_reservation"])
        );
        assert_eq!(
            actions("add one checked bag"),
            BTreeSet::from(["update_reservation_baggages"])
        );
        assert_eq!(actions("baggage: no additional baggage"), BTreeSet::new());
        assert!(actions("within 24 hours of booking").is_empty());
    }
}
