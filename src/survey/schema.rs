//! Tables of `migrations/sqlite_survey`.

diesel::table! {
    survey (id) {
        id -> BigInt,
        profile -> Binary,
        judge -> Text,
        size -> BigInt,
        tip -> Binary,
    }
}

diesel::table! {
    judged_case (pseudonym) {
        pseudonym -> Binary,
        size -> BigInt,
        elements -> Nullable<Text>,
        controls -> Nullable<Text>,
        failed -> Nullable<Text>,
    }
}

diesel::table! {
    finding (newest, place) {
        newest -> BigInt,
        place -> BigInt,
        pseudonym -> Binary,
        code -> Text,
        severity -> BigInt,
        entries -> Text,
        occurred -> BigInt,
        recorded -> BigInt,
    }
}

diesel::table! {
    case_feature (feature, pseudonym) {
        pseudonym -> Binary,
        feature -> Binary,
    }
}

diesel::allow_tables_to_appear_in_same_query!(survey, judged_case, finding, case_feature);
