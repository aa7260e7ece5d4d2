use super::*;

const NOW: u64 = 1_790_000_000;
const INVITE: (&[u8], &[u8]) = (b"INVITE", b"sip:+14155550100@vestibule.example");

fn authenticator(md5: bool) -> Authenticator {
    let algorithms = [Algorithm::Sha256, Algorithm::Md5];
    Authenticator::new("vestibule", [7; 32], 300, if md5 { &algorithms } else { &algorithms[..1] })
}

fn password_of(user: &str) -> Option<String> {
    (user == "trunk").then(|| "se:cret".to_owned())
}

/// What a client makes of a challenge.
fn answer(challenge: &str, algorithm: Algorithm, (user, password): (&str, &str), nc: u32) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let uri = "sip:+14155550100@vestibule.example";
    let a1 = algorithm.hash(&[user.as_bytes(), b"vestibule", password.as_bytes()]);
    let a2 = algorithm.hash(&[b"INVITE", uri.as_bytes()]);
    let count = format!("{nc:08x}");
    let parts = [a1.as_bytes(), nonce.as_bytes(), count.as_bytes(), b"0a4f", b"auth", a2.as_bytes()];
    format!(
        "Digest username=\"{user}\", realm=\"vestibule\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{}\", algorithm={}, qop=auth, nc={count}, cnonce=\"0a4f\"",
        algorithm.hash(&parts),
        algorithm.as_str()
    )
}

fn verdict(auth: &Authenticator, header: &str, now: u64) -> Result<Accepted, Refusal> {
    auth.verify(header.as_bytes(), INVITE, password_of, now)
}

#[test]
fn the_example_of_rfc_7616_comes_out_with_both_hashes() {
    // RFC 7616 §3.9.1.
    let nonce = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (algorithm, wanted) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let a1 = algorithm.hash(&[b"Mufasa", b"http-auth@example.org", b"Circle of Life"]);
        let a2 = algorithm.hash(&[b"GET", b"/dir/index.html"]);
        let parts = [a1.as_bytes(), nonce, b"00000001", cnonce, b"auth", a2.as_bytes()];
        assert_eq!(algorithm.hash(&parts), wanted);
    }
}

#[test]
fn the_right_password_passes_by_sha_256_and_by_md5_where_it_is_allowed() {
    let auth = authenticator(true);
    let challenges = auth.challenges(NOW, 42, false);
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].contains("algorithm=SHA-256, qop=\"auth\""), "{challenges:?}");
    for (challenge, algorithm) in challenges.iter().zip([Algorithm::Sha256, Algorithm::Md5]) {
        let header = answer(challenge, algorithm, ("trunk", "se:cret"), 1);
        let accepted = verdict(&auth, &header, NOW + 10).unwrap();
        assert_eq!((accepted.username.as_str(), accepted.algorithm), ("trunk", algorithm));
    }
    let strict = authenticator(false);
    assert_eq!(strict.challenges(NOW, 42, false).len(), 1);
    let header = answer(&challenges[1], Algorithm::Md5, ("trunk", "se:cret"), 1);
    assert_eq!(verdict(&strict, &header, NOW), Err(Refusal::Algorithm));
    let header = header.replace("algorithm=MD5, ", "");
    assert_eq!(verdict(&strict, &header, NOW), Err(Refusal::Algorithm), "MD5 is what no algorithm means");
    assert!(verdict(&auth, &header, NOW).is_ok());
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let auth = authenticator(false);
    let challenge = &auth.challenges(NOW, 1, false)[0];
    for who in [("trunk", "guess"), ("nobody", "se:cret"), ("nobody", "")] {
        let header = answer(challenge, Algorithm::Sha256, who, 1);
        assert_eq!(verdict(&auth, &header, NOW), Err(Refusal::Wrong));
    }
}

#[test]
fn old_forged_and_future_nonces_are_stale() {
    let auth = authenticator(false);
    let challenge = &auth.challenges(NOW, 1, false)[0];
    let header = answer(challenge, Algorithm::Sha256, ("trunk", "se:cret"), 1);
    assert!(verdict(&auth, &header, NOW + 300).is_ok());
    assert_eq!(verdict(&auth, &header, NOW + 301), Err(Refusal::Stale));
    assert_eq!(verdict(&auth, &header, NOW - 1), Err(Refusal::Stale));
    let other_key = Authenticator::new("vestibule", [8; 32], 300, &[Algorithm::Sha256]);
    assert_eq!(verdict(&other_key, &header, NOW), Err(Refusal::Stale));
    // The same nonce with another time of issue.
    let later = header.replace(&format!("{NOW:016x}"), &format!("{:016x}", NOW + 250));
    assert_eq!(verdict(&auth, &later, NOW + 400), Err(Refusal::Stale));
    assert!(auth.challenges(NOW, 1, true)[0].ends_with("stale=true"));
}

#[test]
fn credentials_for_one_number_do_not_call_another() {
    let auth = authenticator(false);
    let challenge = &auth.challenges(NOW, 1, false)[0];
    let header = answer(challenge, Algorithm::Sha256, ("trunk", "se:cret"), 1);
    let verify = |method: &[u8], uri: &[u8]| auth.verify(header.as_bytes(), (method, uri), password_of, NOW);
    assert!(verify(b"INVITE", b"sip:+14155550100@192.0.2.1:5060;transport=udp").is_ok());
    assert_eq!(verify(b"INVITE", b"sip:+19005550100@vestibule.example"), Err(Refusal::OtherRequest));
    assert_eq!(verify(b"BYE", INVITE.1), Err(Refusal::Wrong), "the method is signed too");
}

#[test]
fn what_is_no_digest_for_this_realm_is_told_from_what_is_broken() {
    let auth = authenticator(false);
    let challenge = &auth.challenges(NOW, 1, false)[0];
    let good = answer(challenge, Algorithm::Sha256, ("trunk", "se:cret"), 1);
    assert_eq!(verdict(&auth, "Basic dHJ1bms6", NOW), Err(Refusal::NotForUs));
    assert_eq!(
        verdict(&auth, &good.replace("realm=\"vestibule\"", "realm=\"x\""), NOW),
        Err(Refusal::NotForUs)
    );
    for (from, to) in [
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=00000000"),
        ("nc=00000001, ", ""),
        ("cnonce=\"0a4f\"", "cnonce=\"\""),
        ("username=\"trunk\", ", ""),
        ("username=\"trunk\"", "username=\"trunk\", username=\"root\""),
        ("qop=auth", "qop"),
    ] {
        let broken = good.replace(from, to);
        assert_ne!(broken, good);
        assert_eq!(verdict(&auth, &broken, NOW), Err(Refusal::Malformed), "{broken}");
    }
    assert_eq!(verdict(&auth, &good.replace("qop=auth, ", ""), NOW), Err(Refusal::Algorithm));
}

#[test]
fn a_nonce_count_passes_once() {
    let auth = authenticator(false);
    let mut guard = ReplayGuard::new(8);
    let challenge = &auth.challenges(NOW, 1, false)[0];
    let use_of =
        |nc| verdict(&auth, &answer(challenge, Algorithm::Sha256, ("trunk", "se:cret"), nc), NOW).unwrap();
    assert_eq!(guard.admit(&use_of(1)), Ok(()));
    assert_eq!(guard.admit(&use_of(1)), Err(Refusal::Stale));
    assert_eq!(guard.admit(&use_of(3)), Ok(()));
    assert_eq!(guard.admit(&use_of(2)), Err(Refusal::Stale));
    assert_eq!(guard.admit(&use_of(4)), Ok(()));
}

#[test]
fn a_full_guard_refuses_what_it_may_have_forgotten() {
    let accepted = |issued_at, salt| Accepted {
        username: String::new(),
        algorithm: Algorithm::Sha256,
        nonce: NonceId { issued_at, salt },
        nonce_count: 1,
    };
    let mut guard = ReplayGuard::new(2);
    for issued_at in [10, 11, 12, 13] {
        assert_eq!(guard.admit(&accepted(issued_at, 0)), Ok(()));
    }
    assert_eq!(guard.admit(&accepted(10, 0)), Err(Refusal::Stale), "forgotten, so it may be a replay");
    assert_eq!(guard.admit(&accepted(9, 5)), Err(Refusal::Stale));
    guard.expire(400, 300);
    assert_eq!(guard.admit(&accepted(399, 0)), Ok(()));
}
