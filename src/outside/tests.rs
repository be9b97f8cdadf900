use std::time::Duration;

use super::{back_off, is_usable_url};

#[test]
fn failures_are_waited_out_longer_and_longer_but_not_for_ever() {
    let minute = Duration::from_secs(60);
    let waits: Vec<u64> = (1..=12).map(|n| back_off(minute, n).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(back_off(minute, u32::MAX), Duration::from_secs(300));
    let short = Duration::from_millis(20);
    assert_eq!(back_off(short, 1), short);
    assert_eq!(back_off(short, 50), short * 64);
}

#[test]
fn addresses_are_plain_http() {
    assert!(is_usable_url("http://127.0.0.1:8090"));
    for bad in [
        "https://w.example",
        "ftp://w",
        "w.example",
        "http://",
        "http:///x",
    ] {
        assert!(!is_usable_url(bad), "{bad}");
    }
}
