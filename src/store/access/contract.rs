//! What every [`AccessStore`] must do, as tests: a backend runs [`all`] with a way to open itself at a place.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use super::{
    AccessStore, AccessStoreError, ChangeRow, GrantRow, LedgerSet, PrincipalRow, TokenRow, Write,
};
use crate::ledger::{Hash, Id16, Timestamp};
use std::sync::Arc;

type Store = Arc<dyn AccessStore>;

/// Runs every test on a store of its own. `open(name)` opens the store of that name, the same one when called twice,
/// through handles as independent as two processes.
pub(crate) fn all(open: &dyn Fn(&str) -> Store) {
    rows_come_back_as_they_went_in(&open("rows"));
    nothing_changes_unrecorded(&open("unrecorded"));
    a_change_is_all_or_nothing(&open("atomic"));
    one_of_two_wins(&open("race"), &open("race"));
    many_writers_lose_nothing(&open("many"), &open("many"));
    another_handle_sees_it_at_once(&open("seen"), &open("seen"));
    pages_hold_everyone_once(&open("pages"));
    changes_stay_until_each_ledger_has_them(&open("outbox"));
    what_is_durable_is_there_after_opening_again(open);
}

fn id(n: u8) -> Id16 {
    Id16([n; 16])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

fn principal(n: u8) -> PrincipalRow {
    PrincipalRow {
        id: id(n),
        name: format!("principal {n}"),
        created: at(i64::from(n)),
        revoked: None,
    }
}

fn grant(n: u8, of: u8, role: &str) -> GrantRow {
    GrantRow {
        id: id(n),
        principal: id(of),
        role: role.to_owned(),
        scope: r#"{"ledgers":"all"}"#.to_owned(),
        created: at(i64::from(n)),
        expires: Some(at(1_000)),
        ended: None,
    }
}

fn token(n: u8, of: u8) -> TokenRow {
    TokenRow {
        id: id(n),
        principal: id(of),
        digest: Hash([n; 32]),
        created: at(i64::from(n)),
        expires: None,
        revoked: None,
        rotated: None,
        replaced_by: None,
    }
}

fn change(n: u8, of: u8, ledgers: &[&str]) -> ChangeRow {
    ChangeRow {
        id: id(n),
        time: at(50),
        by: None,
        kind: "changed".to_owned(),
        principal: id(of),
        details: r#"{"name":"x"}"#.to_owned(),
        ledgers: LedgerSet::Only(ledgers.iter().map(|l| (*l).to_owned()).collect()),
    }
}

/// Principal 1 with grant 11 and token 21.
fn first(store: &Store) -> u64 {
    let writes = [
        Write::AddPrincipal(principal(1)),
        Write::AddGrant(grant(11, 1, "auditor")),
        Write::AddToken(token(21, 1)),
    ];
    store.apply(0, &writes, &[change(91, 1, &["a"])]).unwrap()
}

fn rows_come_back_as_they_went_in(store: &Store) {
    assert_eq!(store.generation(), Ok(0));
    assert_eq!(store.find_token(&Hash([21; 32])), Ok((0, None)));
    assert_eq!(first(store), 1);
    let writes = [
        Write::AddGrant(grant(12, 1, "producer")),
        Write::EndGrant {
            id: id(11),
            at: at(60),
        },
        Write::AddToken(TokenRow {
            expires: Some(at(99)),
            ..token(22, 1)
        }),
        Write::RotateToken {
            id: id(21),
            grace_ends: Some(at(70)),
            at: at(60),
            by: id(22),
        },
        Write::RevokeToken {
            id: id(22),
            at: at(80),
        },
        Write::RevokePrincipal {
            id: id(1),
            at: at(90),
        },
    ];
    assert_eq!(store.apply(1, &writes, &[change(92, 1, &[])]), Ok(2));

    let holder = PrincipalRow {
        revoked: Some(at(90)),
        ..principal(1)
    };
    let ended = GrantRow {
        ended: Some(at(60)),
        ..grant(11, 1, "auditor")
    };
    let grants = vec![ended, grant(12, 1, "producer")];
    let old = TokenRow {
        expires: Some(at(70)),
        rotated: Some(at(60)),
        replaced_by: Some(id(22)),
        ..token(21, 1)
    };
    let new = TokenRow {
        expires: Some(at(99)),
        revoked: Some(at(80)),
        ..token(22, 1)
    };
    let (generation, found) = store.find_token(&Hash([21; 32])).unwrap();
    let found = found.unwrap();
    assert_eq!((generation, &found.token), (2, &old));
    assert_eq!((&found.principal, &found.grants), (&holder, &grants));
    assert_eq!(store.tokens(id(1)), Ok(vec![old, new.clone()]));
    assert_eq!(store.token(id(22)), Ok(Some(new)));
    assert_eq!(store.token(id(1)), Ok(None));
    assert_eq!(store.principal(id(2)), Ok(None));
    let whole = (holder, grants);
    assert_eq!(store.principal(id(1)), Ok(Some(whole.clone())));
    assert_eq!(store.principals_with_role("auditor"), Ok(vec![whole]));
    assert_eq!(store.principals_with_role("administrator"), Ok(vec![]));
}

fn nothing_changes_unrecorded(store: &Store) {
    let writes = [Write::AddPrincipal(principal(1))];
    assert_eq!(
        store.apply(0, &writes, &[]),
        Err(AccessStoreError::Unrecorded)
    );
    assert_eq!(store.principal(id(1)), Ok(None));
    assert_eq!(store.generation(), Ok(0));
}

fn a_change_is_all_or_nothing(store: &Store) {
    first(store);
    let fine = || {
        vec![
            Write::AddPrincipal(principal(2)),
            Write::RevokeToken {
                id: id(21),
                at: at(60),
            },
        ]
    };
    let with = |write| {
        let mut writes = fine();
        writes.push(write);
        writes
    };
    let record = [change(92, 1, &["a"])];
    type Case<'a> = (&'a str, Vec<Write>, &'a [ChangeRow]);
    let twice = [change(91, 1, &["a"])];
    let stranger = [change(92, 1, &["a"]), change(93, 9, &["a"])];
    let cases: [Case<'_>; 7] = [
        ("record's id taken", fine(), &twice),
        ("record of a stranger", fine(), &stranger),
        (
            "principal there already",
            with(Write::AddPrincipal(principal(1))),
            &record,
        ),
        (
            "grant to a stranger",
            with(Write::AddGrant(grant(12, 9, "x"))),
            &record,
        ),
        (
            "token's digest taken",
            with(Write::AddToken(TokenRow {
                digest: Hash([21; 32]),
                ..token(22, 1)
            })),
            &record,
        ),
        (
            "no such token",
            with(Write::RevokeToken {
                id: id(77),
                at: at(1),
            }),
            &record,
        ),
        (
            "successor that never comes",
            with(Write::RotateToken {
                id: id(21),
                grace_ends: None,
                at: at(1),
                by: id(77),
            }),
            &record,
        ),
    ];
    for (what, writes, changes) in cases {
        let error = store.apply(1, &writes, changes).expect_err(what);
        let known = matches!(
            error,
            AccessStoreError::Conflict(_) | AccessStoreError::Missing { .. }
        );
        assert!(known, "{what}: {error:?}");
        assert_eq!(store.generation(), Ok(1), "{what}");
        assert_eq!(store.principal(id(2)), Ok(None), "{what}");
        assert_eq!(store.token(id(21)), Ok(Some(token(21, 1))), "{what}");
        let pending = store.pending_changes(&["a".to_owned()], 9).unwrap();
        assert_eq!(pending.len(), 1, "{what}: a record without its change");
    }
    assert_eq!(
        store.apply(1, &fine(), &record),
        Ok(2),
        "the same without the fault"
    );
}

fn one_of_two_wins(one: &Store, other: &Store) {
    first(one);
    let revoke = [Write::RevokePrincipal {
        id: id(1),
        at: at(60),
    }];
    let mint = [Write::AddToken(token(22, 1))];
    for stale in [0, 2, u64::MAX] {
        let result = other.apply(stale, &mint, &[change(92, 1, &["a"])]);
        assert_eq!(result, Err(AccessStoreError::Stale), "{stale}");
    }
    assert_eq!(one.apply(1, &revoke, &[change(92, 1, &["a"])]), Ok(2));
    let late = other.apply(1, &mint, &[change(93, 1, &["a"])]);
    assert_eq!(late, Err(AccessStoreError::Stale));
    assert_eq!(other.token(id(22)), Ok(None));
}

fn many_writers_lose_nothing(one: &Store, other: &Store) {
    first(one);
    std::thread::scope(|threads| {
        for worker in 0..4_u8 {
            let store = if worker % 2 == 0 { one } else { other };
            threads.spawn(move || {
                for n in 0..5 {
                    let n = 100 + worker * 10 + n;
                    let writes = [Write::AddPrincipal(principal(n))];
                    loop {
                        let generation = store.generation().unwrap();
                        match store.apply(generation, &writes, &[change(n, n, &["a"])]) {
                            Ok(_) => break,
                            Err(AccessStoreError::Stale) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(one.generation(), Ok(21));
    assert_eq!(other.principals(None, 99).unwrap().len(), 21);
    assert_eq!(
        one.pending_changes(&["a".to_owned()], 99).unwrap().len(),
        21
    );
}

fn another_handle_sees_it_at_once(one: &Store, other: &Store) {
    first(one);
    assert_eq!(other.generation(), Ok(1));
    let writes = [Write::RevokeToken {
        id: id(21),
        at: at(60),
    }];
    one.apply(1, &writes, &[change(92, 1, &["a"])]).unwrap();
    let (generation, found) = other.find_token(&Hash([21; 32])).unwrap();
    assert_eq!((other.generation(), generation), (Ok(2), 2));
    assert_eq!(found.unwrap().token.revoked, Some(at(60)));
    other.mark_recorded(id(91), "a").unwrap();
    assert_eq!(
        one.pending_changes(&["a".to_owned()], 9).unwrap()[0]
            .change
            .id,
        id(92)
    );
}

fn pages_hold_everyone_once(store: &Store) {
    let order = [7, 3, 9, 1, 5];
    let writes = order
        .iter()
        .flat_map(|n| {
            [
                Write::AddPrincipal(principal(*n)),
                Write::AddGrant(grant(100 + n, *n, "r")),
            ]
        })
        .collect::<Vec<_>>();
    store.apply(0, &writes, &[change(91, 1, &[])]).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.principals(after, 2).unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.0.id);
        for (row, grants) in page {
            assert_eq!(grants.len(), 1);
            assert_eq!(grants[0].principal, row.id);
            seen.push(row.id.0[0]);
        }
    }
    assert_eq!(seen, [1, 3, 5, 7, 9]);
    let oldest: Vec<_> = store
        .principals_with_role("r")
        .unwrap()
        .iter()
        .map(|p| p.0.id.0[0])
        .collect();
    assert_eq!(oldest, [1, 3, 5, 7, 9]);
    assert_eq!(store.principals(None, 0), Ok(vec![]));
}

fn changes_stay_until_each_ledger_has_them(store: &Store) {
    first(store);
    let name = |n: u8| [Write::AddPrincipal(principal(n))];
    store
        .apply(1, &name(2), &[change(92, 2, &["a", "b"])])
        .unwrap();
    let everywhere = ChangeRow {
        ledgers: LedgerSet::All,
        by: Some(id(1)),
        ..change(93, 3, &[])
    };
    store
        .apply(2, &name(3), std::slice::from_ref(&everywhere))
        .unwrap();
    store.apply(3, &name(4), &[change(94, 4, &[])]).unwrap();

    let pending = |ledgers: &[&str], limit| {
        let ledgers: Vec<_> = ledgers.iter().map(|l| (*l).to_owned()).collect();
        store
            .pending_changes(&ledgers, limit)
            .unwrap()
            .into_iter()
            .map(|p| (p.change.id.0[0], p.missing.join(" ")))
            .collect::<Vec<_>>()
    };
    let want = |rows: &[(u8, &str)]| {
        rows.iter()
            .map(|(n, l)| (*n, (*l).to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        pending(&["a", "b"], 9),
        want(&[(91, "a"), (92, "a b"), (93, "a b")])
    );
    assert_eq!(pending(&["b", "a"], 2), want(&[(91, "a"), (92, "b a")]));
    assert_eq!(
        pending(&["c"], 9),
        want(&[(93, "c")]),
        "a ledger that is not listed"
    );
    assert_eq!(pending(&[], 9), want(&[]));
    let row = store
        .pending_changes(&["c".to_owned()], 1)
        .unwrap()
        .remove(0);
    assert_eq!(row.change, everywhere);

    store.mark_recorded(id(92), "a").unwrap();
    store.mark_recorded(id(92), "a").unwrap();
    store.mark_recorded(id(93), "b").unwrap();
    assert_eq!(
        pending(&["a", "b"], 9),
        want(&[(91, "a"), (92, "b"), (93, "a")])
    );
    assert_eq!(
        pending(&["new"], 9),
        want(&[(93, "new")]),
        "a ledger created later"
    );
    for (n, ledger) in [(91, "a"), (92, "b"), (93, "a")] {
        store.mark_recorded(id(n), ledger).unwrap();
    }
    assert_eq!(pending(&["a", "b"], 9), want(&[]));
    let missing = store.mark_recorded(id(99), "a");
    assert!(
        matches!(missing, Err(AccessStoreError::Missing { .. })),
        "{missing:?}"
    );
    assert_eq!(store.generation(), Ok(4), "recording is not a change");
}

fn what_is_durable_is_there_after_opening_again(open: &dyn Fn(&str) -> Store) {
    first(&open("again"));
    let store = open("again");
    assert_eq!(store.generation(), Ok(1));
    assert_eq!(store.token(id(21)), Ok(Some(token(21, 1))));
    assert_eq!(
        store.apply(
            1,
            &[Write::AddPrincipal(principal(2))],
            &[change(92, 2, &["a"])]
        ),
        Ok(2)
    );
}
