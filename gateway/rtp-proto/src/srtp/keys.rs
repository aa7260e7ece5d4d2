//! Session keys from a master key (RFC 3711 §4.3; with 256 bits RFC 6188 §3, for GCM RFC 7714 §11).

use aes::{
    Aes128, Aes256,
    cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore, consts::U16},
};
use ctr::{CtrCore, flavors::Ctr128BE};

use super::{MasterKey, SALT_LEN_MAX, Suite};

/// What a key is for; the values are the labels of RFC 3711 §4.3.1 and §4.3.2.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Rtp,
    Rtcp,
}

/// The keys of one kind of packet.
pub(super) struct SessionKeys {
    key: [u8; 32],
    pub(super) salt: [u8; SALT_LEN_MAX],
    pub(super) authentication: [u8; AUTHENTICATION_LEN],
}

impl SessionKeys {
    /// Derives once, at index zero: the key derivation rate is zero, as nobody uses another.
    pub(super) fn derive(master: &MasterKey, purpose: Purpose) -> Self {
        let [encryption, authentication, salting] = match purpose {
            Purpose::Rtp => [0, 1, 2],
            Purpose::Rtcp => [3, 4, 5],
        };
        let mut keys =
            Self { key: [0; 32], salt: [0; SALT_LEN_MAX], authentication: [0; AUTHENTICATION_LEN] };
        derived(master, encryption, &mut keys.key);
        derived(master, authentication, &mut keys.authentication);
        derived(master, salting, &mut keys.salt);
        keys
    }

    pub(super) fn aes_128(&self) -> Aes128 {
        let (key, _) = self.key.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        Aes128::new(key.into())
    }

    pub(super) fn aes_256(&self) -> Aes256 {
        Aes256::new((&self.key).into())
    }

    #[cfg(test)]
    pub(super) fn given(key: &[u8], salt: &[u8], authentication: &[u8]) -> Self {
        let mut keys =
            Self { key: [0; 32], salt: [0; SALT_LEN_MAX], authentication: [0; AUTHENTICATION_LEN] };
        keys.key[..key.len()].copy_from_slice(key);
        keys.salt[..salt.len()].copy_from_slice(salt);
        keys.authentication[..authentication.len()].copy_from_slice(authentication);
        keys
    }
}

/// The keystream under the master key: the label is added to the salt's eighth byte, and the two bytes
/// behind the salt count blocks.
fn derived(master: &MasterKey, label: u8, out: &mut [u8]) {
    let mut start = [0; 16];
    for (byte, salt) in start.iter_mut().zip(master.salt) {
        *byte = salt;
    }
    if let Some(byte) = start.get_mut(7) {
        *byte ^= label;
    }
    match master.suite {
        Suite::AeadAes256Gcm => apply_keystream(&Aes256::new((&master.key).into()), &start, out),
        Suite::AeadAes128Gcm | Suite::AesCm128HmacSha1Tag80 | Suite::AesCm128HmacSha1Tag32 => {
            let (key, _) = master.key.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
            apply_keystream(&Aes128::new(key.into()), &start, out);
        }
    }
}

/// Adds the keystream of a counter that starts here (RFC 3711 §4.1.1).
pub(super) fn apply_keystream<C>(cipher: &C, start: &[u8; 16], bytes: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    CtrCore::<&C, Ctr128BE>::inner_iv_init(cipher, start.into()).apply_keystream_partial(bytes.into());
}

/// HMAC-SHA1 takes a key of 160 bits (RFC 3711 §5.2).
const AUTHENTICATION_LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::hex;

    #[test]
    fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
        let master = hex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1Tag80, &master).unwrap();
        let keys = SessionKeys::derive(&master, Purpose::Rtp);
        assert_eq!(keys.key[..16], hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(keys.salt[..], hex("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(keys.authentication[..], hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
    }

    #[test]
    fn the_keystream_is_that_of_rfc_3711_appendix_b_2() {
        let keys = SessionKeys::given(&hex("2b7e151628aed2a6abf7158809cf4f3c"), &[], &[]);
        let mut start = [0; 16];
        start[..14].copy_from_slice(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
        let mut stream = vec![0; 0xff02 * 16];
        apply_keystream(&keys.aes_128(), &start, &mut stream);
        for (block, wanted) in [
            (0, "e03ead0935c95e80e166b16dd92b4eb4"),
            (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(stream[block * 16..][..16], hex(wanted), "block {block:x}");
        }
    }
}
