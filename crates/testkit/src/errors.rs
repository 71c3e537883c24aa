//! What the text of an error must contain.

use std::error::Error;

/// A placeholder for what differs from run to run: a duration, what a process is doing.
pub const ANYTHING: char = '…';

/// Asserts that `{error}` is `text`, in which `…` is a placeholder for what differs from run to run, such as a
/// duration. Also asserts everything that [`assert_says_all_once`] does.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_says(error: &dyn Error, text: &str) {
    let said = error.to_string();
    assert!(is_like(&said, text), "says    {said:?}\nand not {text:?}\n{error:?}");
    assert_says_all_once(error, &[]);
}

/// Asserts that a text, such as one that another process has printed, is `text`, in which `…` is a placeholder for what
/// differs.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_is_like(said: &str, text: &str) {
    assert!(is_like(said, text), "says    {said:?}\nand not {text:?}");
}

/// Whether `said` is `text` with something instead of each `…`.
pub fn is_like(said: &str, text: &str) -> bool {
    let mut parts = text.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Asserts that `{error}` alone says everything: each of `facts`, once, in one line; and that a program that follows
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

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_text_with_holes_is_the_whole_text() {
        for text in ["no event within 3ms", "no event within …", "… within …", "…"] {
            assert!(is_like("no event within 3ms", text), "{text}");
        }
        for text in ["no event", "event within 3ms", "no event within … more", "… after …", "no event within 3ms…s", ""]
        {
            assert!(!is_like("no event within 3ms", text), "{text}");
        }
    }
}
