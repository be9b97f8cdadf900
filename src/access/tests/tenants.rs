//! An administrator of one tenant, and the others.

use super::*;
use std::time::Duration;

struct World {
    _place: Place,
    access: Access,
    admin_a: Caller,
    auditor_a: Id16,
    auditor_b: Id16,
    both: Id16,
}

fn world() -> World {
    let place = Place::new();
    let access = place.open();
    World {
        admin_a: caller(&access, &[grant(Role::Administrator, &["a"])], 1),
        auditor_a: enrol(&access, &[grant(Role::Auditor, &["a"])], 1).0,
        auditor_b: enrol(&access, &[grant(Role::Auditor, &["b"])], 1).0,
        both: enrol(
            &access,
            &[
                grant(Role::Auditor, &["a"]),
                grant(Role::Investigator, &["b"]),
            ],
            1,
        )
        .0,
        access,
        _place: place,
    }
}

#[test]
fn another_tenants_principals_do_not_exist() {
    let w = world();
    let by = Actor::Caller(&w.admin_a);
    let missing = AccessError::NotFound("principal");
    let (b, token) = (
        w.auditor_b,
        w.access.tokens(Actor::Machine, w.auditor_b).unwrap()[0].id,
    );
    let before = w.access.generation();
    assert_eq!(w.access.principal(by, b), Err(missing.clone()));
    assert_eq!(w.access.tokens(by, b), Err(missing.clone()));
    assert_eq!(
        w.access.revoke_principal(by, b, at(2)),
        Err(missing.clone())
    );
    assert_eq!(
        w.access
            .add_grant(by, b, &grant(Role::Auditor, &["a"]), at(2)),
        Err(missing.clone())
    );
    assert_eq!(
        w.access.mint_token(by, b, None, at(2)).err(),
        Some(missing.clone())
    );
    assert_eq!(
        w.access.revoke_token(by, b, token, at(2)),
        Err(missing.clone())
    );
    let rotated = w
        .access
        .rotate_token(by, b, token, None, Duration::ZERO, at(2));
    assert_eq!(rotated.err(), Some(missing.clone()));
    let grant = w.access.principal(Actor::Machine, b).unwrap().grants[0].id;
    assert_eq!(
        w.access.end_grant(by, b, grant, at(2)),
        Err(missing.clone())
    );
    assert_eq!(
        w.access.principal(by, Id16([0; 16])),
        Err(missing),
        "the same as one that never was"
    );
    assert_eq!(w.access.generation(), before);
}

#[test]
fn lists_hold_what_the_asker_may_see_page_by_page() {
    let w = world();
    for limit in [1, 2, 3, 50] {
        let (mut seen, mut after) = (BTreeSet::new(), None);
        loop {
            let page = w
                .access
                .principals(Actor::Caller(&w.admin_a), after, limit)
                .unwrap();
            assert!(page.items.len() <= limit);
            for principal in page.items {
                assert!(
                    principal
                        .grants
                        .iter()
                        .all(|g| g.scope.ledgers == ledgers(&["a"])),
                    "a grant of another tenant"
                );
                assert!(seen.insert(principal.id), "twice");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            seen,
            BTreeSet::from([w.admin_a.principal(), w.auditor_a, w.both]),
            "{limit}"
        );
    }
    assert_eq!(
        w.access
            .principals(Actor::Machine, None, 50)
            .unwrap()
            .items
            .len(),
        4
    );
}

#[test]
fn nobody_gives_what_they_do_not_administer() {
    let w = world();
    let by = Actor::Caller(&w.admin_a);
    let create = |grants: &[NewGrant]| {
        w.access
            .create_principal(by, "x", grants, at(2))
            .map(|p| p.grants.len())
    };
    let mut everywhere = grant(Role::Auditor, &[]);
    everywhere.scope.ledgers = Ledgers::All;
    assert_eq!(create(&[grant(Role::Auditor, &["a"])]), Ok(1));
    assert_eq!(
        create(&[grant(Role::Auditor, &["b"])]),
        Err(AccessError::Forbidden)
    );
    assert_eq!(
        create(&[
            grant(Role::Auditor, &["a"]),
            grant(Role::Auditor, &["a", "b"])
        ]),
        Err(AccessError::Forbidden)
    );
    assert_eq!(
        create(std::slice::from_ref(&everywhere)),
        Err(AccessError::Forbidden)
    );
    assert_eq!(
        w.access.add_grant(by, w.auditor_a, &everywhere, at(2)),
        Err(AccessError::Forbidden)
    );
    assert_eq!(
        w.access
            .add_grant(by, w.auditor_a, &grant(Role::Auditor, &["b"]), at(2)),
        Err(AccessError::Forbidden)
    );
    assert!(w.access.mint_token(by, w.auditor_a, None, at(2)).is_ok());

    // A token of a principal that reaches another tenant too would reach it as well.
    assert_eq!(
        w.access.mint_token(by, w.both, None, at(2)).err(),
        Some(AccessError::Forbidden)
    );
    assert_eq!(
        w.access.revoke_principal(by, w.both, at(2)),
        Err(AccessError::Forbidden)
    );
    let grants = w.access.principal(Actor::Machine, w.both).unwrap().grants;
    for grant in grants {
        let want = if grant.scope.ledgers == ledgers(&["a"]) {
            Ok(())
        } else {
            Err(AccessError::NotFound("grant"))
        };
        assert_eq!(w.access.end_grant(by, w.both, grant.id, at(2)), want);
    }
}

#[test]
fn nobody_extends_their_own_access() {
    let w = world();
    let by = Actor::Caller(&w.admin_a);
    let own = w.access.add_grant(
        by,
        w.admin_a.principal(),
        &grant(Role::Administrator, &["a"]),
        at(2),
    );
    assert_eq!(own, Err(AccessError::OwnAccess));
}

#[test]
fn whoever_administers_nothing_sees_only_themselves() {
    let w = world();
    let token = w
        .access
        .mint_token(Actor::Machine, w.auditor_a, None, at(1))
        .unwrap();
    let auditor = w.access.authenticate(token.expose(), at(2)).unwrap();
    let by = Actor::Caller(&auditor);
    assert_eq!(
        w.access.principal(by, w.auditor_a).map(|p| p.id),
        Ok(w.auditor_a)
    );
    assert_eq!(w.access.tokens(by, w.auditor_a).map(|t| t.len()), Ok(2));
    assert_eq!(
        w.access.principal(by, w.both),
        Err(AccessError::NotFound("principal"))
    );
    let seen = w.access.principals(by, None, 9).unwrap();
    assert_eq!(
        seen.items.iter().map(|p| p.id).collect::<Vec<_>>(),
        [w.auditor_a]
    );
    let before = w.access.generation();
    assert_eq!(
        w.access.mint_token(by, w.auditor_a, None, at(2)).err(),
        Some(AccessError::Forbidden)
    );
    assert_eq!(
        w.access.revoke_principal(by, w.auditor_a, at(2)),
        Err(AccessError::Forbidden)
    );
    let created = w
        .access
        .create_principal(by, "x", &[grant(Role::Auditor, &["a"])], at(2));
    assert_eq!(created, Err(AccessError::Forbidden));
    assert_eq!(w.access.generation(), before);
    // Not even once none of its grants holds.
    let held = w
        .access
        .principal(Actor::Machine, w.auditor_a)
        .unwrap()
        .grants[0]
        .id;
    w.access
        .end_grant(Actor::Machine, w.auditor_a, held, at(3))
        .unwrap();
    let nothing = w.access.authenticate(token.expose(), at(4)).unwrap();
    let minted = w
        .access
        .mint_token(Actor::Caller(&nothing), w.auditor_a, None, at(4));
    assert_eq!(minted.err(), Some(AccessError::Forbidden));
}
