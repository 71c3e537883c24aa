//! Which characters are allowed in a name that other programs print.

/// Whether `c` can make a line on a terminal look like another, or two names look alike: control characters, line
/// separators, direction marks, and all other characters that Unicode shows as nothing (*default ignorable*).
pub(crate) fn disguises(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_disguises_and_letters_of_every_script_do_not() {
        for bad in
            "\0\n\r\t\x1b\x7f\u{85}\u{202e}\u{2066}\u{2069}\u{200b}\u{200d}\u{2028}\u{2029}\u{feff}\u{e0041}".chars()
        {
            assert!(disguises(bad), "{bad:?}");
        }
        for good in "worker 3 größe 推論 עובד عامل คน ρ-1/7 €🦀".chars() {
            assert!(!disguises(good), "{good:?}");
        }
    }
}
