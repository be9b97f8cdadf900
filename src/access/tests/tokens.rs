//! Tokens: kept as digests, refused when they should be, the first administrator's.

use super::*;
use crate::ledger::{decode_b64url, sha256};
use std::time::Duration;

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[test]
fn a_token_is_nowhere_in_the_database() {
    let place = Place::new();
    let access = place.open();
    let (id, first) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let second = access
        .rotate_token(Actor::Machine, id, first.id(), None, Duration::ZERO, at(2))
        .unwrap();
    let admin = access.bootstrap(at(3)).unwrap().unwrap();
    let bytes = place.bytes();
    for token in [&first, &second, &admin] {
        let text = token.expose();
        assert!(
            holds(&bytes, &sha256(&[text.as_bytes()]).0),
            "its digest is there, or this test looks in the wrong place"
        );
        assert!(!holds(&bytes, text.as_bytes()) && !holds(&bytes, &text.as_bytes()[3..]));
        assert!(!holds(&bytes, &decode_b64url(&text[3..]).unwrap()));
        assert!(!holds(&bytes, &text.as_bytes()[3..19]), "not even a part");
    }
    assert_ne!(first.expose(), second.expose());
}

#[test]
fn only_tokens_that_count_are_accepted() {
    let place = Place::new();
    let access = place.open();
    let (id, token) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let caller = access.authenticate(token.expose(), at(2)).unwrap();
    assert_eq!(
        (caller.principal(), caller.token(), caller.name()),
        (id, token.id(), "someone")
    );
    assert_eq!(access.authenticate("", at(2)), Err(AuthError::Malformed));
    assert_eq!(
        access.authenticate(&token.expose()[3..], at(2)),
        Err(AuthError::Malformed)
    );
    let other = NewToken::from_random(Id16([0; 16]), id, None, &zeroize::Zeroizing::new([7; 32]));
    assert_eq!(
        access.authenticate(other.expose(), at(2)),
        Err(AuthError::Unknown)
    );

    // One token ends, the others do not.
    let brief = access
        .mint_token(Actor::Machine, id, Some(at(10)), at(2))
        .unwrap();
    assert_eq!(brief.expires(), Some(at(10)));
    assert!(access.authenticate(brief.expose(), at(9)).is_ok());
    assert_eq!(
        access.authenticate(brief.expose(), at(10)),
        Err(AuthError::Expired)
    );
    access
        .revoke_token(Actor::Machine, id, token.id(), at(5))
        .unwrap();
    assert_eq!(
        access.authenticate(token.expose(), at(5)),
        Err(AuthError::Revoked)
    );
    assert!(access.authenticate(brief.expose(), at(9)).is_ok());

    access.revoke_principal(Actor::Machine, id, at(6)).unwrap();
    assert_eq!(
        access.authenticate(brief.expose(), at(6)),
        Err(AuthError::PrincipalRevoked)
    );
    let minted = access.mint_token(Actor::Machine, id, None, at(7));
    assert_eq!(minted.err(), Some(AccessError::PrincipalRevoked));
    assert_eq!(
        access
            .mint_token(Actor::Machine, id, Some(at(7)), at(7))
            .err(),
        Some(AccessError::ExpiryPast)
    );
}

#[test]
fn rotation_ends_the_old_token_at_once_or_later() {
    let place = Place::new();
    let access = place.open();
    let (id, old) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let rotate = |token: Id16, grace, now| {
        access.rotate_token(
            Actor::Machine,
            id,
            token,
            None,
            Duration::from_secs(grace),
            at(now),
        )
    };
    let new = rotate(old.id(), 60, 100).unwrap();
    assert!(access.authenticate(old.expose(), at(159)).is_ok());
    assert!(access.authenticate(new.expose(), at(159)).is_ok());
    assert_eq!(
        access.authenticate(old.expose(), at(160)),
        Err(AuthError::Rotated)
    );
    assert_eq!(
        rotate(old.id(), 0, 120).err(),
        Some(AccessError::TokenEnded),
        "twice"
    );

    let newest = rotate(new.id(), 0, 200).unwrap();
    assert_eq!(
        access.authenticate(new.expose(), at(200)),
        Err(AuthError::Rotated)
    );
    assert!(access.authenticate(newest.expose(), at(200)).is_ok());
    assert_eq!(
        rotate(newest.id(), 31 * 86_400, 200).err(),
        Some(AccessError::GraceTooLong(30))
    );
    assert_eq!(
        rotate(Id16([0; 16]), 0, 200).err(),
        Some(AccessError::NotFound("token"))
    );
    let (stranger, _) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let crossed = access.rotate_token(
        Actor::Machine,
        stranger,
        newest.id(),
        None,
        Duration::ZERO,
        at(201),
    );
    assert_eq!(
        crossed.err(),
        Some(AccessError::NotFound("token")),
        "a token of another principal"
    );

    let known = access.tokens(Actor::Machine, id).unwrap();
    let ids: Vec<_> = known.iter().map(|t| t.id).collect();
    assert_eq!(ids, [old.id(), new.id(), newest.id()]);
    assert_eq!(
        (known[0].rotated, known[0].expires, known[0].replaced_by),
        (Some(at(100)), Some(at(160)), Some(new.id()))
    );

    // Within the grace period, a revocation still ends the old token at once.
    let last = rotate(newest.id(), 600, 300).unwrap();
    access
        .revoke_token(Actor::Machine, id, newest.id(), at(301))
        .unwrap();
    assert!(access.authenticate(newest.expose(), at(301)).is_err());
    assert!(access.authenticate(last.expose(), at(301)).is_ok());
}

#[test]
fn a_grace_period_does_not_outlive_the_token() {
    let place = Place::new();
    let access = place.open();
    let (id, _) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let old = access
        .mint_token(Actor::Machine, id, Some(at(50)), at(2))
        .unwrap();
    access
        .rotate_token(
            Actor::Machine,
            id,
            old.id(),
            None,
            Duration::from_secs(600),
            at(10),
        )
        .unwrap();
    assert!(access.authenticate(old.expose(), at(49)).is_ok());
    assert_eq!(
        access.authenticate(old.expose(), at(50)),
        Err(AuthError::Rotated)
    );
}

#[test]
fn a_clock_set_back_brings_nothing_back() {
    let place = Place::new();
    let access = place.open();
    let (id, token) = enrol(&access, &[grant(Role::Auditor, &["a"])], 100);
    let revoked = access
        .mint_token(Actor::Machine, id, None, at(100))
        .unwrap();
    access
        .revoke_token(Actor::Machine, id, revoked.id(), at(101))
        .unwrap();
    assert_eq!(
        access.authenticate(revoked.expose(), at(50)),
        Err(AuthError::Revoked)
    );
    let rotated = access
        .mint_token(Actor::Machine, id, None, at(100))
        .unwrap();
    access
        .rotate_token(
            Actor::Machine,
            id,
            rotated.id(),
            None,
            Duration::ZERO,
            at(101),
        )
        .unwrap();
    assert_eq!(
        access.authenticate(rotated.expose(), at(50)),
        Err(AuthError::Rotated)
    );
    let held = access.principal(Actor::Machine, id).unwrap().grants[0].id;
    assert!(
        access
            .authenticate(token.expose(), at(50))
            .unwrap()
            .sees_ledger("a")
    );
    access.end_grant(Actor::Machine, id, held, at(101)).unwrap();
    assert!(
        !access
            .authenticate(token.expose(), at(50))
            .unwrap()
            .sees_ledger("a")
    );
    access
        .revoke_principal(Actor::Machine, id, at(102))
        .unwrap();
    assert_eq!(
        access.authenticate(token.expose(), at(50)),
        Err(AuthError::PrincipalRevoked)
    );
}

#[test]
fn what_another_process_revokes_counts_at_once() {
    let place = Place::new();
    let (server, command) = (place.open(), place.open());
    let (id, token) = enrol(&server, &[grant(Role::Auditor, &["a"])], 1);
    let (_, other) = enrol(&server, &[grant(Role::Auditor, &["a"])], 1);
    for _ in 0..3 {
        assert!(server.authenticate(token.expose(), at(2)).is_ok());
        assert!(server.authenticate(other.expose(), at(2)).is_ok());
    }
    command
        .revoke_token(Actor::Machine, id, token.id(), at(2))
        .unwrap();
    assert_eq!(
        server.authenticate(token.expose(), at(2)),
        Err(AuthError::Revoked)
    );
    assert!(server.authenticate(other.expose(), at(2)).is_ok());

    let given = command
        .add_grant(
            Actor::Machine,
            other.principal(),
            &grant(Role::Auditor, &["b"]),
            at(3),
        )
        .unwrap();
    assert!(
        server
            .authenticate(other.expose(), at(3))
            .unwrap()
            .sees_ledger("b")
    );
    command
        .end_grant(Actor::Machine, other.principal(), given.id, at(4))
        .unwrap();
    assert!(
        !server
            .authenticate(other.expose(), at(4))
            .unwrap()
            .sees_ledger("b")
    );
    command
        .revoke_principal(Actor::Machine, other.principal(), at(5))
        .unwrap();
    assert_eq!(
        server.authenticate(other.expose(), at(5)),
        Err(AuthError::PrincipalRevoked)
    );
}

#[test]
fn known_tokens_are_remembered_until_something_changes() {
    let place = Place::new();
    let store = Watched::new(&place);
    let access = Access::new(store.clone());
    let (id, token) = enrol(&access, &[grant(Role::Auditor, &["a"])], 1);
    let lookups = || store.lookups.load(Ordering::SeqCst);
    for _ in 0..5 {
        assert!(access.authenticate(token.expose(), at(2)).is_ok());
    }
    assert_eq!(lookups(), 1);
    access.mint_token(Actor::Machine, id, None, at(3)).unwrap();
    assert!(access.authenticate(token.expose(), at(3)).is_ok());
    assert_eq!(lookups(), 2);

    // Who cannot ask whether something changed, accepts nobody.
    store.down.store(true, Ordering::SeqCst);
    assert!(matches!(
        access.authenticate(token.expose(), at(3)),
        Err(AuthError::Store(_))
    ));
}

#[test]
fn time_ends_what_is_remembered_too() {
    let place = Place::new();
    let access = place.open();
    let mut ending = grant(Role::Auditor, &["b"]);
    ending.expires = Some(at(10));
    let (id, _) = enrol(&access, &[grant(Role::Auditor, &["a"]), ending], 1);
    let token = access
        .mint_token(Actor::Machine, id, Some(at(20)), at(1))
        .unwrap();
    let sees = |now| {
        access
            .authenticate(token.expose(), at(now))
            .map(|c| (c.sees_ledger("a"), c.sees_ledger("b")))
    };
    assert_eq!(sees(9), Ok((true, true)));
    assert_eq!(sees(10), Ok((true, false)));
    assert_eq!(sees(20), Err(AuthError::Expired));
}

#[test]
fn the_first_start_makes_one_administrator() {
    let place = Place::new();
    let tokens: Vec<_> = std::thread::scope(|threads| {
        let start = || place.open().bootstrap(at(1)).unwrap();
        let started: Vec<_> = (0..4).map(|_| threads.spawn(start)).collect();
        started
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(tokens.len(), 1, "of several processes one gets the token");
    let access = place.open();
    assert!(access.bootstrap(at(2)).unwrap().is_none());
    let admin = access.authenticate(tokens[0].expose(), at(2)).unwrap();
    assert_eq!(admin.name(), "administrator");
    assert_eq!(
        admin.may(Permission::ManagePrincipals, "any"),
        Decision::Allowed
    );
    assert_eq!(
        admin.may(Permission::ReadContent, "any"),
        Decision::Forbidden
    );
    assert_eq!(
        access
            .principals(Actor::Machine, None, 9)
            .unwrap()
            .items
            .len(),
        1
    );

    // Once the last one is gone, a start makes another.
    access
        .revoke_principal(Actor::Machine, admin.principal(), at(3))
        .unwrap();
    let next = access.bootstrap(at(4)).unwrap().unwrap();
    assert_ne!(next.principal(), admin.principal());
}

#[test]
fn a_lost_administrator_comes_back() {
    let place = Place::new();
    let access = place.open();
    let made = access.recover_administrator(at(1)).unwrap();
    assert!(access.bootstrap(at(1)).unwrap().is_none());
    let again = access.recover_administrator(at(2)).unwrap();
    assert_eq!(
        made.principal(),
        again.principal(),
        "the same principal, another token"
    );
    for token in [&made, &again] {
        let caller = access.authenticate(token.expose(), at(3)).unwrap();
        assert_eq!(
            caller.ledgers_with(Permission::ManagePrincipals),
            Ledgers::All
        );
    }
    // An administrator of one tenant is nobody to recover.
    access
        .revoke_principal(Actor::Machine, made.principal(), at(4))
        .unwrap();
    let (tenant, _) = enrol(&access, &[grant(Role::Administrator, &["a"])], 5);
    let other = access.recover_administrator(at(6)).unwrap();
    assert!(other.principal() != tenant && other.principal() != made.principal());
    let pending = access.pending_changes(&["a".to_owned()], 99).unwrap();
    let recoveries = pending
        .iter()
        .filter(|p| p.change.kind == ChangeKind::AdministratorRecovered)
        .count();
    assert_eq!(recoveries, 3);
}

#[test]
fn without_randomness_nothing_is_made() {
    let place = Place::new();
    let broken = Access::with_random(Arc::new(place.store()), |_| {
        Err(getrandom::Error::UNEXPECTED)
    });
    assert!(matches!(
        broken.bootstrap(at(1)),
        Err(AccessError::Random(_))
    ));
    assert_eq!(broken.generation(), Ok(0));
}
