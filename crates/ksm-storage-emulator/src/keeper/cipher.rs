//! The cryptography of the service.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead, OsRng, rand_core::RngCore},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit as _, Mac};
use p256::{
    PublicKey, SecretKey,
    ecdh::diffie_hellman,
    ecdsa::{DerSignature, VerifyingKey, signature::Verifier},
    elliptic_curve::sec1::ToEncodedPoint,
};
use sha2::{Digest, Sha256, Sha512};

/// Length of an AES-256 key in bytes.
pub(super) const KEY: usize = 32;
/// Length of an AES-GCM nonce, which precedes every ciphertext, in bytes.
const NONCE: usize = 12;
/// Length of an uncompressed P-256 point in bytes.
const POINT: usize = 65;

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

pub(super) fn standard(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn url_safe(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn from_standard(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub(super) fn from_url_safe(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(super) fn key_pair() -> SecretKey {
    SecretKey::random(&mut OsRng)
}

pub(super) fn point(key: &SecretKey) -> Vec<u8> {
    key.public_key().to_encoded_point(false).as_bytes().to_vec()
}

/// The client ID derived from a token's key.
pub(super) fn client_id(client_key: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha512>::new_from_slice(client_key).ok()?;
    mac.update(b"KEEPER_SECRETS_MANAGER_CLIENT_ID");
    Some(standard(mac.finalize().into_bytes()))
}

/// AES-256-GCM, with the nonce before the ciphertext.
pub(super) fn seal(key: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = random::<NONCE>();
    let cipher = Aes256Gcm::new_from_slice(key).ok()?;
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), plain).ok()?;
    Some([&nonce[..], &sealed].concat())
}

pub(super) fn open(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    Aes256Gcm::new_from_slice(key).ok()?.decrypt(Nonce::from_slice(nonce), sealed).ok()
}

/// The key of a single request, decrypted with the secret shared by an ephemeral key pair and the server's.
pub(super) fn transmission_key(server: &SecretKey, wrapped: &[u8]) -> Option<Vec<u8>> {
    let (point, sealed) = wrapped.split_at_checked(POINT)?;
    let ephemeral = PublicKey::from_sec1_bytes(point).ok()?;
    let shared = diffie_hellman(server.to_nonzero_scalar(), ephemeral.as_affine());
    open(&Sha256::digest(shared.raw_secret_bytes()), sealed)
}

/// Returns true if the client with this public key has signed the request.
pub(super) fn is_signed(public_key: &[u8], wrapped: &[u8], body: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_sec1_bytes(public_key), DerSignature::try_from(signature))
    else {
        return false;
    };
    key.verify(&[wrapped, body].concat(), &signature).is_ok()
}
