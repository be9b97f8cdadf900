//! What is not shown, and why.

use std::collections::BTreeSet;

use super::{Weight, about, finding};
use crate::judge::view::View;
use crate::judge::{Absence, Finding};
use crate::ledger::Hash;

/// How much of the entries is not shown, by reason.
#[derive(Debug, Default)]
pub(in crate::judge) struct Hidden<'a> {
    /// Parts withheld from this reader.
    pub(in crate::judge) withheld: usize,
    pub(in crate::judge) withheld_in: Vec<View<'a>>,
    /// Parts erased, and the entries that prove it.
    pub(in crate::judge) erased: usize,
    pub(in crate::judge) erased_in: Vec<View<'a>>,
    pub(in crate::judge) erased_by: BTreeSet<u64>,
    /// Parts for whose absence nothing accounts.
    pub(in crate::judge) missing: usize,
    pub(in crate::judge) missing_in: Vec<View<'a>>,
}

impl<'a> Hidden<'a> {
    pub(in crate::judge) fn new(views: &[View<'a>]) -> Self {
        let mut hidden = Self::default();
        for view in views.iter().copied() {
            let opened = &view.entry.opened;
            for digest in opened.hidden.iter().chain(&opened.hidden_elements) {
                hidden.add(view, view.entry.absences.get(digest), digest);
            }
        }
        hidden
    }

    fn add(&mut self, view: View<'a>, absence: Option<&Absence>, _: &Hash) {
        let (count, views) = match absence {
            Some(Absence::Withheld { .. }) => (&mut self.withheld, &mut self.withheld_in),
            Some(Absence::Erased { by }) => {
                self.erased_by.insert(*by);
                (&mut self.erased, &mut self.erased_in)
            }
            None => (&mut self.missing, &mut self.missing_in),
        };
        *count += 1;
        if views.last().is_none_or(|last| last.seq() != view.seq()) {
            views.push(view);
        }
    }
}

/// Says that content is withheld or erased. Parts for whose absence nothing accounts are a matter of integrity, which
/// is not judged here.
pub(in crate::judge) fn content(hidden: &Hidden<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if hidden.erased > 0 {
        let say = about("content.erased")
            .on(hidden.erased_in.iter().copied())
            .count(hidden.erased);
        let mut found = finding(
            "content.erased",
            Weight::Full,
            say.number("entries", hidden.erased_in.len()),
        );
        found.sentence.entries.extend(&hidden.erased_by);
        found.sentence.entries.sort_unstable();
        found.sentence.entries.dedup();
        findings.push(found);
    }
    if hidden.withheld > 0 {
        let say = about("content.withheld")
            .on(hidden.withheld_in.iter().copied())
            .count(hidden.withheld);
        findings.push(finding(
            "content.withheld",
            Weight::Full,
            say.number("entries", hidden.withheld_in.len()),
        ));
    }
    findings
}
