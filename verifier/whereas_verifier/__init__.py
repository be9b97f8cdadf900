"""A second, independent verifier of whereas receipts, reports and exports.

Written from docs/formats.md alone, without reading the ledger's source. Names in brackets, such
as [Strict reading], are sections of that page. It needs Python 3.9 or later and the `openssl`
command; no network, no clock.

    basics        base64, hex, times
    strict_json   strict reading, canonical form, pointers
    keys          Ed25519, verifier keys
    problems      problems and results
    notes         signed notes, checkpoints
    policy        policies: which witnesses are needed
    trust         trusted keys: opening checkpoints, bridges, stolen keys
    tree          inclusion, consistency
    leaf          the leaf
    disclosures   disclosures, places of an event
    content       the digests of entries, and what of them is shown
    receipts      receipts, and a posted event against its entry
    report_form   the form of a report's file and payload
    report        the steps of checking a report, and its verdicts
    tar_stream    reading an export's file
    export_form   the form of its members
    fast_leaf     leaves without a fact, read fast
    collect       identities, cases and tree of a whole ledger
    export        checking an export, and its verdicts
"""
