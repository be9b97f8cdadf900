//! What a caller may do, where, and about which cases.

use super::*;

#[test]
fn each_role_may_what_the_table_says_in_its_ledger_and_nothing_elsewhere() {
    let place = Place::new();
    let access = place.open();
    for role in Role::ALL {
        let caller = caller(&access, &[grant(role, &["a"])], 1);
        for permission in Permission::ALL {
            let want = if role.may(permission) {
                Decision::Allowed
            } else {
                Decision::Forbidden
            };
            assert_eq!(caller.may(permission, "a"), want, "{role} {permission:?}");
            assert_eq!(
                caller.may_somewhere(permission),
                want,
                "{role} {permission:?}"
            );
            assert_eq!(
                caller.may(permission, "b"),
                Decision::NotFound,
                "{role} {permission:?}"
            );
            assert_eq!(
                caller.may(permission, "A"),
                Decision::NotFound,
                "{role} {permission:?}"
            );
        }
        assert!(caller.sees_ledger("a") && !caller.sees_ledger("b") && !caller.sees_ledger(""));
    }
}

#[test]
fn a_producer_posts_for_its_sources_only() {
    let place = Place::new();
    let access = place.open();
    let mut wide = grant(Role::Producer, &["b"]);
    wide.scope.sources = ["urn:x", "urn:y"].map(str::to_owned).into();
    let caller = caller(
        &access,
        &[
            grant(Role::Producer, &["a"]),
            wide,
            grant(Role::Auditor, &["c"]),
        ],
        1,
    );
    assert!(caller.may_post_for("urn:wf", "a") && caller.may_post_for("urn:x", "b"));
    for (source, ledger) in [
        ("urn:x", "a"),
        ("urn:wf", "b"),
        ("URN:WF", "a"),
        ("urn:wf/", "a"),
        ("urn:w", "a"),
        ("", "a"),
        ("urn:wf", "c"),
        ("urn:wf", "d"),
    ] {
        assert!(!caller.may_post_for(source, ledger), "{source} {ledger}");
    }
    assert_eq!(caller.sources_for("b"), BTreeSet::from(["urn:x", "urn:y"]));
    assert_eq!(caller.sources_for("c"), BTreeSet::new());
    assert_eq!(caller.only_source("a"), Some("urn:wf"));
    assert_eq!(
        (caller.only_source("b"), caller.only_source("c")),
        (None, None)
    );
}

#[test]
fn cases_are_filtered_by_ledger() {
    let place = Place::new();
    let access = place.open();
    let mut own = grant(Role::CaseWorker, &["a", "b"]);
    own.scope.cases = Cases::of("a", [case(3), case(1)]);
    let caller = caller(&access, &[own], 1);
    let filter = caller.case_filter(Permission::ReadContent, "a");
    assert_eq!(filter, CaseFilter::Only(vec![case(1), case(3)]));
    assert!(filter.admits(case(1)) && filter.admits(case(3)) && !filter.admits(case(2)));
    assert_eq!(
        caller.case_filter(Permission::IssueReports, "a"),
        CaseFilter::Only(vec![])
    );
    // The grant names the ledger b, but no case in it: there is nothing for the caller to see.
    assert_eq!(
        caller.case_filter(Permission::ReadContent, "b"),
        CaseFilter::Only(vec![])
    );
    assert_eq!(caller.may(Permission::ReadContent, "b"), Decision::NotFound);
}

#[test]
fn a_permission_never_lends_its_scope_to_another() {
    let place = Place::new();
    let access = place.open();
    let caller = caller(
        &access,
        &[
            grant(Role::CaseWorker, &["a"]),
            grant(Role::Auditor, &["a"]),
        ],
        1,
    );
    assert_eq!(
        caller.case_filter(Permission::ReadVerdicts, "a"),
        CaseFilter::All
    );
    assert_eq!(
        caller.case_filter(Permission::IssueReports, "a"),
        CaseFilter::All
    );
    assert_eq!(
        caller.case_filter(Permission::ReadContent, "a"),
        CaseFilter::Only(vec![case(1)])
    );
    assert!(
        CaseFilter::All.admits(case(9))
            && !caller
                .case_filter(Permission::ReadContent, "a")
                .admits(case(9))
    );
}

#[test]
fn grants_add_up_and_end_one_by_one() {
    let place = Place::new();
    let access = place.open();
    let mut second = grant(Role::Regulator, &["a"]);
    second.scope.cases = Cases::of("a", [case(2)]);
    second.expires = Some(at(50));
    let (id, token) = enrol(&access, &[grant(Role::Regulator, &["a"]), second], 1);
    let cases = |now| {
        access
            .authenticate(token.expose(), at(now))
            .unwrap()
            .case_filter(Permission::ReadContent, "a")
    };
    assert_eq!(cases(49), CaseFilter::Only(vec![case(1), case(2)]));
    assert_eq!(cases(50), CaseFilter::Only(vec![case(1)]));
    let first = access.principal(Actor::Machine, id).unwrap().grants;
    let first = first
        .iter()
        .find(|g| g.expires == Some(at(10_000)))
        .unwrap()
        .id;
    access.end_grant(Actor::Machine, id, first, at(60)).unwrap();
    assert_eq!(cases(60), CaseFilter::Only(vec![]));
    let nothing = access.authenticate(token.expose(), at(60)).unwrap();
    assert_eq!(
        nothing.may(Permission::ReadContent, "a"),
        Decision::NotFound
    );
}

#[test]
fn all_ledgers_are_all_ledgers() {
    let place = Place::new();
    let access = place.open();
    let mut auditor = grant(Role::Auditor, &[]);
    auditor.scope.ledgers = Ledgers::All;
    let caller = caller(&access, &[auditor, grant(Role::Producer, &["a"])], 1);
    assert_eq!(
        caller.may(Permission::ReadProofs, "created later"),
        Decision::Allowed
    );
    assert_eq!(
        caller.may(Permission::PostEvents, "created later"),
        Decision::Forbidden
    );
    assert_eq!(caller.ledgers_with(Permission::ReadProofs), Ledgers::All);
    assert_eq!(caller.ledgers_with(Permission::PostEvents), ledgers(&["a"]));
    assert_eq!(caller.ledgers_with(Permission::Operate), Ledgers::none());
}

#[test]
fn the_impossible_is_refused_before_it_is_stored() {
    let place = Place::new();
    let access = place.open();
    let create = |name: &str, grants: &[NewGrant]| {
        access
            .create_principal(Actor::Machine, name, grants, at(1))
            .map(|p| p.name)
    };
    let auditor = grant(Role::Auditor, &["a"]);
    for name in ["", " x", "x ", "a\nb", &"x".repeat(201)] {
        assert_eq!(
            create(name, std::slice::from_ref(&auditor)),
            Err(AccessError::BadName),
            "{name:?}"
        );
    }
    assert_eq!(create("x", &[]), Err(AccessError::NoGrant));
    let mut forever = grant(Role::Regulator, &["a"]);
    forever.expires = None;
    let error = create("x", &[auditor.clone(), forever]).unwrap_err();
    assert_eq!(
        error,
        AccessError::Grant(vec![GrantFault::NoExpiry(Role::Regulator)])
    );
    assert!(
        error.to_string().contains("must say when it ends"),
        "{error}"
    );
    assert_eq!(
        create("x", &[auditor.clone(), grant(Role::Administrator, &["b"])]),
        Err(AccessError::MixedRoles)
    );
    assert_eq!(access.generation(), Ok(0));
    assert_eq!(create(&"é".repeat(200), &[auditor]), Ok("é".repeat(200)));
}

#[test]
fn who_administers_gets_no_other_role_and_the_other_way_round() {
    let place = Place::new();
    let access = place.open();
    let (reader, _) = enrol(&access, &[grant(Role::Investigator, &["a"])], 1);
    let (admin, _) = enrol(&access, &[grant(Role::Administrator, &["a"])], 1);
    let add = |to, role| {
        access
            .add_grant(Actor::Machine, to, &grant(role, &["b"]), at(2))
            .map(|g| g.role)
    };
    assert_eq!(
        add(reader, Role::Administrator),
        Err(AccessError::MixedRoles)
    );
    assert_eq!(add(admin, Role::Investigator), Err(AccessError::MixedRoles));
    assert_eq!(add(admin, Role::Producer), Err(AccessError::MixedRoles));
    assert_eq!(add(reader, Role::Auditor), Ok(Role::Auditor));
    assert_eq!(add(admin, Role::Administrator), Ok(Role::Administrator));
    assert_eq!(
        add(Id16([0; 16]), Role::Auditor),
        Err(AccessError::NotFound("principal"))
    );
    // What has ended no longer counts.
    for grant in access.principal(Actor::Machine, admin).unwrap().grants {
        access
            .end_grant(Actor::Machine, admin, grant.id, at(3))
            .unwrap();
    }
    assert_eq!(
        access
            .add_grant(Actor::Machine, admin, &grant(Role::Auditor, &["a"]), at(3))
            .map(|g| g.role),
        Ok(Role::Auditor)
    );
    access
        .revoke_principal(Actor::Machine, reader, at(3))
        .unwrap();
    assert_eq!(
        add(reader, Role::Auditor),
        Err(AccessError::PrincipalRevoked)
    );
}
