//! Certificates in PEM, which the decoder of rustls reads with three times as many instructions.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rustls_pki_types::CertificateDer;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// As lenient as the decoder of rustls.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The certificates in a bundle, each once. Anything else is skipped.
pub(crate) fn certificates(bundle: &[u8]) -> Vec<CertificateDer<'static>> {
    // Comments need not be UTF-8. Replacing what is not takes longer than all the rest.
    let text = str::from_utf8(bundle).map_or_else(|_| String::from_utf8_lossy(bundle), Cow::Borrowed);
    let mut certificates = Vec::new();
    let (mut section, mut is_within) = (String::new(), false);
    for line in text.split(if text.contains('\n') { '\n' } else { '\r' }) {
        match line.trim_ascii() {
            BEGIN => {
                section.clear();
                is_within = true;
            }
            END if is_within => {
                certificates.extend(decode(&section).map(CertificateDer::from));
                is_within = false;
            }
            line if is_within => section.push_str(line),
            _ => {}
        }
    }
    certificates.sort_unstable_by(|one, other| one.cmp(other));
    certificates.dedup();
    certificates
}

fn decode(section: &str) -> Option<Vec<u8>> {
    BASE64.decode(section).or_else(|_| BASE64.decode(section.replace([' ', '\t', '\r'], ""))).ok()
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn bundles_are_read_as_rustls_does() {
        let certificate =
            |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem();
        let [one, other] = ["one", "other"].map(certificate);
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let broken = one.replacen("MII", "M*I", 1);
        let cut = &one[..one.len() / 2];
        for bundle in [
            format!("# comment\n{one}{key}{other}{one}"),
            format!("{broken}{other}"),
            format!("{other}{cut}"),
            one.replace('\n', "\r\n"),
            one.replace('\n', "\r"),
            one.replace('=', ""),
            one.replace("MII", " M I I"),
            one.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
            format!("\u{feff}{one}"),
            String::new(),
        ] {
            let mut expected: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten().collect();
            expected.sort_unstable_by(|one, other| one.cmp(other));
            expected.dedup();
            assert_eq!(certificates(bundle.as_bytes()), expected, "{bundle}");
            assert_eq!(certificates(&[bundle.as_bytes(), b"\xff"].concat()), expected, "{bundle}");
        }
    }
}
