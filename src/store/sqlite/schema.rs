//! The tables, as Diesel knows them; `migrations/sqlite` makes them.

diesel::table! {
    head (id) { id -> BigInt, size -> BigInt, root -> Binary, }
}
diesel::table! {
    entry (seq) { seq -> BigInt, leaf -> Binary, slot -> Nullable<Binary>, sealed -> Nullable<Binary>, }
}
diesel::table! {
    identity (eid) { eid -> Binary, seq -> BigInt, }
}
diesel::table! {
    node (position) { position -> BigInt, hash -> Binary, }
}
diesel::table! {
    commitment (size) { size -> BigInt, root -> Binary, key_id -> Binary, note -> Nullable<Text>, }
}
diesel::table! {
    case_file (blind) { blind -> Binary, pseudonym -> Binary, slot -> Binary, }
}
diesel::table! {
    trace_slot (trace) { trace -> Binary, slot -> Binary, }
}
diesel::table! {
    case_entry (pseudonym, case_seq) { pseudonym -> Binary, case_seq -> BigInt, seq -> BigInt, }
}
diesel::table! {
    trace_entry (trace, seq) { trace -> Binary, seq -> BigInt, }
}
diesel::table! {
    type_name (id) { id -> BigInt, name -> Text, }
}
diesel::table! {
    type_entry (type_id, seq) { type_id -> BigInt, seq -> BigInt, }
}
diesel::table! {
    lookup (blind, seq) { blind -> Binary, seq -> BigInt, }
}
diesel::table! {
    report (id) { id -> Binary, seq -> BigInt, pseudonym -> Nullable<Binary>, requester -> Binary, envelope -> Text, }
}
diesel::table! {
    catalogue (digest) { digest -> Binary, text -> Text, }
}
diesel::table! {
    cosignature (size, name, key_id) { size -> BigInt, name -> Text, key_id -> Binary, line -> Text, time -> BigInt, }
}
diesel::table! {
    anchor (place, size) { place -> Text, size -> BigInt, root -> Binary, time -> BigInt, }
}
diesel::allow_tables_to_appear_in_same_query!(
    head,
    entry,
    identity,
    node,
    commitment,
    case_file,
    trace_slot,
    case_entry,
    trace_entry,
    type_name,
    type_entry,
    lookup,
    report,
    catalogue,
    cosignature,
    anchor,
);
