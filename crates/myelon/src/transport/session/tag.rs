//! A short tag that stands for a session's label in the names of its segments.
//!
//! The hash is written here, so that no update of a library ever changes a tag.

/// The length of a tag: what a portable name has left after a prefix of three, the letter of a ring and two digits of a
/// rank.
pub(super) const TAG_LEN: usize = 8;

/// A label's tag: eight lower-case letters and digits, the same in every build and on every machine.
///
/// Two labels may have the same tag (one pair in three million million). Such sessions do not share rings: creation
/// never opens an existing ring, so the second session is refused.
///
/// ```
/// assert_eq!(myelon::transport::compact_session_tag("engine-0"), "n7bp4u0m");
/// ```
/// Source: RFC 0009, "Names".
pub fn compact_session_tag(label: &str) -> String {
    let mut rest = fnv1a(label.as_bytes());
    // The last digits of the hash to base 36; FNV's low bits are its good ones.
    let mut tag = [0; TAG_LEN];
    for digit in tag.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
        rest /= 36;
    }
    tag.into_iter().map(char::from).collect()
}

/// FNV-1a with 64 bits. The standard library's hashers are not stable between releases. A tag must not change with the
/// compiler, because a scheduler and its workers may be built by different ones.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of the FNV specification.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_tag_is_stable_across_builds() {
        // Changing these values changes the names by which two builds meet: that needs a new major version.
        for (label, tag) in [("", "hzj4ux45"), ("engine-0", "n7bp4u0m"), ("\u{4e2d}\u{6587} label", "b8jp0anb")] {
            assert_eq!(compact_session_tag(label), tag, "{label}");
        }
    }

    #[test]
    fn labels_that_differ_in_one_character_have_tags_of_the_same_length_that_differ() {
        let tags: std::collections::HashSet<_> = (0..10_000).map(|i| compact_session_tag(&format!("s{i}"))).collect();
        assert_eq!(tags.len(), 10_000);
        let is_tag_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(tags.iter().all(|tag| tag.len() == TAG_LEN && tag.chars().all(is_tag_char)));
    }
}
