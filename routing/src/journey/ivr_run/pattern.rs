//! The patterns of match nodes.

/// `*` is any text, `?` any one character, in any case. At most pattern times text steps.
pub(super) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut p, mut t, mut star) = (0_usize, 0_usize, None::<(usize, usize)>);
    while t < text.len() {
        let wanted = pattern.get(p);
        if wanted == Some(&'*') {
            star = Some((p, t));
            p = p.saturating_add(1);
        } else if wanted.is_some_and(|c| *c == '?' || Some(c) == text.get(t)) {
            p = p.saturating_add(1);
            t = t.saturating_add(1);
        } else if let Some((star_p, star_t)) = star {
            p = star_p.saturating_add(1);
            t = star_t.saturating_add(1);
            star = Some((star_p, t));
        } else {
            return false;
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
