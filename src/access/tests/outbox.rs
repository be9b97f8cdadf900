//! Every change leaves its record, no change leaves none, and the record tells no secret.

use super::*;
use std::time::Duration;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn kinds(access: &Access, ledger: &str) -> Vec<&'static str> {
    let pending = access.pending_changes(&names(&[ledger]), 99).unwrap();
    pending.iter().map(|p| p.change.kind.name()).collect()
}

#[test]
fn every_change_leaves_one_record_and_repeating_it_none() {
    let place = Place::new();
    let access = place.open();
    let admin = access
        .authenticate(access.bootstrap(at(1)).unwrap().unwrap().expose(), at(1))
        .unwrap();
    let by = Actor::Caller(&admin);
    let id = access
        .create_principal(by, "Ines Okafor", &[grant(Role::Auditor, &["a"])], at(2))
        .unwrap()
        .id;
    let token = access.mint_token(by, id, Some(at(500)), at(3)).unwrap();
    let next = access
        .rotate_token(by, id, token.id(), None, Duration::from_secs(5), at(4))
        .unwrap();
    let given = access
        .add_grant(by, id, &grant(Role::Regulator, &["a"]), at(5))
        .unwrap();
    for _ in 0..2 {
        access.end_grant(by, id, given.id, at(6)).unwrap();
        access.revoke_token(by, id, next.id(), at(7)).unwrap();
        access.revoke_principal(by, id, at(8)).unwrap();
    }
    assert!(access.bootstrap(at(9)).unwrap().is_none());

    let pending = access.pending_changes(&names(&["a"]), 99).unwrap();
    let told: Vec<_> = pending
        .iter()
        .map(|p| (p.change.kind.name(), p.change.by, p.change.time))
        .collect();
    let me = Some(admin.principal());
    assert_eq!(
        told,
        [
            ("administrator_created", None, at(1)),
            ("principal_created", me, at(2)),
            ("token_minted", me, at(3)),
            ("token_rotated", me, at(4)),
            ("grant_added", me, at(5)),
            ("grant_ended", me, at(6)),
            ("token_revoked", me, at(7)),
            ("principal_revoked", me, at(8)),
        ]
    );
    assert_eq!(access.generation(), Ok(8));
    assert!(
        pending[1..]
            .iter()
            .all(|p| p.change.principal == id && p.change.details.name == "Ines Okafor")
    );
    assert_eq!(pending[1].change.details.grants[0].role, Role::Auditor);
    let rotated = pending[3].change.details.token.as_ref().unwrap();
    assert_eq!(
        (rotated.id, rotated.replaces, rotated.replaced_ends),
        (next.id(), Some(token.id()), Some(at(9)))
    );
    assert_eq!(pending[4].change.details.grants, [GrantNote::from(&given)]);
    let text = format!("{pending:?}");
    for token in [&token, &next] {
        assert!(!text.contains(&token.expose()[3..]) && !text.contains(&token.digest().to_hex()));
    }
}

#[test]
fn what_fails_leaves_no_record() {
    let place = Place::new();
    let access = place.open();
    let (id, token) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let before = kinds(&access, "a");
    let unknown = Id16([0; 16]);
    assert!(
        access
            .mint_token(Actor::Machine, unknown, None, at(2))
            .is_err()
    );
    assert!(
        access
            .revoke_token(Actor::Machine, id, unknown, at(2))
            .is_err()
    );
    assert!(
        access
            .end_grant(Actor::Machine, id, unknown, at(2))
            .is_err()
    );
    assert!(
        access
            .add_grant(
                Actor::Machine,
                id,
                &grant(Role::Administrator, &["a"]),
                at(2)
            )
            .is_err()
    );
    assert!(
        access
            .rotate_token(
                Actor::Machine,
                id,
                token.id(),
                Some(at(1)),
                Duration::ZERO,
                at(2)
            )
            .is_err()
    );
    assert_eq!(kinds(&access, "a"), before);
}

#[test]
fn who_is_overtaken_decides_anew_and_records_once() {
    let place = Place::new();
    let store = Watched::new(&place);
    let access = Access::new(store.clone());
    let (id, token) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    store.overtaken.store(3, Ordering::SeqCst);
    access
        .revoke_token(Actor::Machine, id, token.id(), at(2))
        .unwrap();
    assert_eq!(
        kinds(&access, "a"),
        ["principal_created", "token_minted", "token_revoked"]
    );
    store.overtaken.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(
        access.revoke_principal(Actor::Machine, id, at(3)),
        Err(AccessError::Busy)
    );
    store.overtaken.store(0, Ordering::SeqCst);
    assert_eq!(kinds(&access, "a").len(), 3);
}

#[test]
fn a_ledger_hears_of_those_who_reach_it_and_of_nothing_else() {
    let place = Place::new();
    let access = place.open();
    let mut investigator = grant(Role::Investigator, &["a", "b"]);
    investigator.scope.cases = Cases::Only(
        [
            ("a".to_owned(), [case(1)].into()),
            ("b".to_owned(), [case(2)].into()),
        ]
        .into(),
    );
    let grants = [investigator, grant(Role::Producer, &["b"])];
    let id = access
        .create_principal(Actor::Machine, "x", &grants, at(1))
        .unwrap()
        .id;
    access
        .add_grant(Actor::Machine, id, &grant(Role::Auditor, &["b"]), at(2))
        .unwrap();
    enrol(&access, &[grant(Role::Auditor, &["c"])], 3);
    assert_eq!(
        kinds(&access, "a"),
        ["principal_created"],
        "a grant elsewhere is not its business"
    );
    assert_eq!(kinds(&access, "b"), ["principal_created", "grant_added"]);
    assert_eq!(kinds(&access, "d"), Vec::<&str>::new());

    let created = access
        .pending_changes(&names(&["a", "b"]), 1)
        .unwrap()
        .remove(0);
    assert_eq!(created.missing, ["a", "b"]);
    let for_a = created.details_for("a");
    assert_eq!(for_a.grants.len(), 1);
    assert_eq!(
        (&for_a.grants[0].ledgers, &for_a.grants[0].cases),
        (&ledgers(&["a"]), &Cases::of("a", [case(1)]))
    );
    assert_eq!(created.details_for("b").grants.len(), 2);
    let told = serde_json::to_string(&for_a).unwrap();
    assert!(
        !told.contains(r#""b""#) && !told.contains(&case(2).0.to_hex()) && !told.contains("urn:wf"),
        "{told}"
    );

    // Whoever ever reached a ledger, their end is its business.
    let held = access.principal(Actor::Machine, id).unwrap().grants;
    for grant in held.iter().filter(|g| g.scope.ledgers.contains("a")) {
        access
            .end_grant(Actor::Machine, id, grant.id, at(4))
            .unwrap();
    }
    access.revoke_principal(Actor::Machine, id, at(5)).unwrap();
    assert_eq!(
        kinds(&access, "a"),
        ["principal_created", "grant_ended", "principal_revoked"]
    );
}

#[test]
fn a_change_is_pending_until_each_ledger_has_recorded_it() {
    let place = Place::new();
    let access = place.open();
    access.bootstrap(at(1)).unwrap();
    let both = names(&["a", "b"]);
    let id = access.pending_changes(&both, 9).unwrap()[0].change.id;
    access.mark_recorded(id, "a").unwrap();
    assert_eq!(
        place.open().pending_changes(&both, 9).unwrap()[0].missing,
        ["b"],
        "also after a restart"
    );
    access.mark_recorded(id, "b").unwrap();
    assert_eq!(access.pending_changes(&both, 9), Ok(vec![]));
    assert_eq!(
        access.pending_changes(&names(&["new"]), 9).unwrap()[0]
            .change
            .id,
        id
    );
    assert_eq!(
        access.mark_recorded(Id16([0; 16]), "a"),
        Err(AccessError::NotFound("change"))
    );
}
