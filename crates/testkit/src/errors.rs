//! What the text of an error has to have.
//!
//! **Lives here:** [`assert_says_all_once`]. **May touch it:** tests that provoke errors.

use std::error::Error;

/// Asserts that `{error}` alone says everything: each of `facts`, once, in one line; and that a program which follows
/// [`source`](Error::source) prints nothing twice.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_says_all_once(error: &dyn Error, facts: &[&str]) {
    let text = error.to_string();
    for fact in facts {
        let times = text.matches(fact).count();
        assert_eq!(times, 1, "says {fact:?} {times} times: {text}\n{error:?}");
    }
    assert!(!text.contains('\n'), "not one line: {text}");
    let mut said = vec![text];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let twice = said.iter().any(|before| before.contains(&text) || text.contains(before.as_str()));
        assert!(!twice, "says {text:?} again, after {said:?}\n{error:?}");
        said.push(text);
        next = cause.source();
    }
}
