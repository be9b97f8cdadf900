//! The tables of `migrations/sqlite_server`.

diesel::table! {
    access_generation (one) {
        one -> BigInt,
        generation -> BigInt,
    }
}

diesel::table! {
    principal (id) {
        id -> Binary,
        name -> Text,
        created -> BigInt,
        revoked -> Nullable<BigInt>,
    }
}

diesel::table! {
    access_grant (id) {
        id -> Binary,
        principal -> Binary,
        role -> Text,
        scope -> Text,
        created -> BigInt,
        expires -> Nullable<BigInt>,
        ended -> Nullable<BigInt>,
    }
}

diesel::table! {
    token (id) {
        id -> Binary,
        principal -> Binary,
        digest -> Binary,
        created -> BigInt,
        expires -> Nullable<BigInt>,
        revoked -> Nullable<BigInt>,
        rotated -> Nullable<BigInt>,
        replaced_by -> Nullable<Binary>,
    }
}

diesel::table! {
    principal_change (seq) {
        seq -> BigInt,
        id -> Binary,
        time -> BigInt,
        by_principal -> Nullable<Binary>,
        kind -> Text,
        principal -> Binary,
        details -> Text,
        all_ledgers -> BigInt,
    }
}

diesel::table! {
    principal_change_ledger (change, ledger) {
        change -> BigInt,
        ledger -> Text,
    }
}

diesel::table! {
    principal_change_recorded (change, ledger) {
        change -> BigInt,
        ledger -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    access_generation,
    principal,
    access_grant,
    token,
    principal_change,
    principal_change_ledger,
    principal_change_recorded,
);
