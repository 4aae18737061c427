//! Connections that fail, break, or get no answer.

use std::process::Command;

use crate::{
    CLOSED, Row, World,
    credentials::role,
    servers::{Valid, canned, tls},
};

const ENDPOINT: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_name_host_and_variable() {
    let world = World::new().await;
    let words = ["http://127.0.0.1:9 (from ", "the connection was refused", "firewall"];
    let row = || Row::new("refused", "default", "unavailable").keys();
    world.check(row().set(ENDPOINT, CLOSED).says(&words).says(&[ENDPOINT])).await;
    world
        .check(
            row()
                .config(format!("endpoint_url = {CLOSED}\n"))
                .says(&words)
                .says(&["endpoint_url in profile \"default\""]),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_certificates_are_told_apart() {
    let world = World::new().await;
    let roots = world.path("roots.pem");
    let row = |name, address: &str| {
        Row::new(name, "default", "unexpected")
            .keys()
            .set(ENDPOINT, format!("https://{address}"))
            .says(&[&format!("https://{address} (from {ENDPOINT})")])
    };
    let (address, own) = tls("127.0.0.1", Valid::Now).await;
    let (_, other) = tls("127.0.0.1", Valid::Now).await;
    world.file("roots.pem", other);
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let unknown = row("unknown issuer", &address).set(variable, &*roots);
        world
            .check(unknown.says(&[
                "the issuer of its certificate is not trusted",
                variable,
                "root certificate",
            ]))
            .await;
    }
    world.file("roots.pem", own);
    let localhost = format!("localhost:{}", address.rsplit(':').next().unwrap());
    let wrong = row("wrong name", &localhost).set("AWS_CA_BUNDLE", &*roots);
    world.check(wrong.says(&["its certificate is for another host name", "endpoint"])).await;
    for (name, valid, words) in [
        ("expired certificate", Valid::Past, "its certificate has expired"),
        ("early certificate", Valid::Future, "its certificate is not valid yet"),
    ] {
        let (address, own) = tls("127.0.0.1", valid).await;
        world.file("roots.pem", own);
        world.check(row(name, &address).set("AWS_CA_BUNDLE", &*roots).says(&[words, "date -u"])).await;
    }
    let plain = canned("HTTP/1.1 200 OK\r\n\r\n");
    let plain = row("plain http", &plain).set("AWS_CA_BUNDLE", &*roots);
    world.check(plain.says(&["the TLS handshake failed", "speaks TLS"])).await;
    world.file("roots.pem", "");
    let mut none = row("no root certificates", &address).set("AWS_CA_BUNDLE", &*roots);
    (none.kind, none.words) = ("invalid_argument", Vec::new());
    world.check(none.says(&["AWS_CA_BUNDLE", "no root certificate"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_named_without_password() {
    let world = World::new().await;
    let through = "https://secretsmanager.us-east-1.amazonaws.com:443 (from the region in profile \"default\") through the \
                   proxy http://127.0.0.1:";
    let row = |name, kind, proxy: &str| {
        Row::new(name, "default", kind)
            .keys()
            .set("HTTPS_PROXY", format!("http://user:s3cret@{proxy}"))
            .says(&[through, "(from HTTPS_PROXY)"])
    };
    let login = canned("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let login = row("proxy login", "invalid_argument", &login);
    world
        .check(login.says(&["the proxy requires a user and a password (407)", "HTTPS_PROXY: http://USER"]))
        .await;
    let denied = canned("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    let denied = row("proxy refuses", "unavailable", &denied);
    world.check(denied.says(&["the proxy did not connect", "NO_PROXY"])).await;
    let closed = row("proxy is closed", "unavailable", "127.0.0.1:9");
    world
        .check(closed.says(&["the connection was refused", "the proxy is up", "or correct HTTPS_PROXY"]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_tell_whether_anything_was_sent() {
    let world = World::new().await;
    let silent = canned(Vec::new());
    let row = |name, scheme: &str| {
        let url = format!("{scheme}://{silent}");
        Row::new(name, "default", "timeout").keys().set(ENDPOINT, &*url).says(&[
            &url,
            ENDPOINT,
            "VPC endpoint",
        ])
    };
    world.check(row("timeout before sending", "https").says(&["no connection could be made in time"])).await;
    world.check(row("timeout after sending", "http").says(&["no reply arrived in time"])).await;
    let reset = canned("x").replace("http://", "");
    let reset = Row::new("no HTTP", "default", "unavailable").keys().set(ENDPOINT, format!("http://{reset}"));
    world.check(reset.says(&[ENDPOINT])).await;
}

/// Runs in a separate network namespace, in which no resolver answers.
#[tokio::test(flavor = "multi_thread")]
async fn unresolved_names_are_reported() {
    let is_possible = Command::new("unshare").args(["--map-root-user", "--net", "true"]).output();
    if !is_possible.is_ok_and(|output| output.status.success()) {
        println!("not checked: this host lets nobody make a network namespace with unshare");
        return;
    }
    let row = Row::new("DNS", "default", "unavailable")
        .keys()
        .set(ENDPOINT, "https://ksm.invalid")
        .set("NO_PROXY", "*");
    let words =
        ["https://ksm.invalid:443 (from ", "the host name cannot be resolved", "getent hosts ksm.invalid"];
    let world = World::new().await.without_network();
    world.check(row.says(&words)).await;
    let region = Row::new("DNS", "default", "unavailable").keys().set("NO_PROXY", "*");
    let words = "amazonaws.com:443 (from the region in AWS_REGION): the host name cannot be resolved";
    world.check(region.set("AWS_REGION", "us-east-9").says(&[words])).await;
    let assumed = Row::new("DNS", "profile", "unavailable").config(role("")).set("NO_PROXY", "*");
    let words = format!("https://sts.us-east-9.{words}");
    world.check(assumed.set("AWS_REGION", "us-east-9").says(&[&words])).await;
    let proxy =
        Row::new("DNS", "default", "unavailable").keys().set("HTTPS_PROXY", "http://proxy.invalid:3128");
    world.check(proxy.says(&["check the proxy's host name in HTTPS_PROXY"])).await;
}
