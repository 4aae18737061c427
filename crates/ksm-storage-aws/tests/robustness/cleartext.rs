//! Plain HTTP is restricted to loopback for every source of credentials, and redirects are not followed.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::World;

/// A cleartext request: the setting, the mode, the configuration file, and the variables.
struct Case {
    setting: &'static str,
    mode: &'static str,
    config: String,
    variables: Vec<(&'static str, String)>,
}

/// A case for each service that can be configured with this endpoint.
fn cases(world: &World, endpoint: &str) -> Vec<Case> {
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader".to_owned());
    let own = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url());
    let web = vec![("AWS_WEB_IDENTITY_TOKEN_FILE", world.path("token")), role, own.clone()];
    let keys = vec![("AWS_ACCESS_KEY_ID", "AKIA".to_owned()), ("AWS_SECRET_ACCESS_KEY", "key".to_owned())];
    let sign_in = "sso_account_id = 123456789012\nsso_role_name = reader\nsso_region = us-east-1\n\
                   sso_start_url = https://example.com/start\n";
    let session = "sso_session = session\nsso_account_id = 123456789012\nsso_role_name = reader\n\
                   [sso-session session]\nsso_region = us-east-1\nsso_start_url = https://example.com/start\n";
    let assume = "role_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n\
                  [profile base]\naws_access_key_id = AKIA\naws_secret_access_key = key\n";
    let with = |setting: &'static str, beside: &[(&'static str, String)]| {
        [beside, &[(setting, endpoint.to_owned())]].concat()
    };
    let case = |setting, mode, config: &str, variables| {
        let config = format!("[default]\nregion = us-east-1\n{config}");
        Case { setting, mode, config, variables }
    };
    let by_variable =
        |setting, mode, config: &str, beside: &[_]| case(setting, mode, config, with(setting, beside));
    vec![
        by_variable("AWS_ENDPOINT_URL_SECRETS_MANAGER", "default", "", &keys),
        by_variable("AWS_ENDPOINT_URL", "default", "", &keys),
        by_variable("AWS_ENDPOINT_URL_STS", "default", "", &web),
        by_variable("AWS_ENDPOINT_URL", "default", "", &web),
        by_variable("AWS_ENDPOINT_URL_SSO", "default", sign_in, std::slice::from_ref(&own)),
        by_variable("AWS_ENDPOINT_URL", "default", sign_in, std::slice::from_ref(&own)),
        by_variable("AWS_ENDPOINT_URL_SSO_OIDC", "default", session, std::slice::from_ref(&own)),
        by_variable(
            "AWS_ENDPOINT_URL_SIGNIN",
            "default",
            "login_session = arn:aws:iam::123456789012:user/x\n",
            std::slice::from_ref(&own),
        ),
        by_variable("AWS_ENDPOINT_URL_STS", "default", assume, std::slice::from_ref(&own)),
        case("endpoint_url", "default", &format!("endpoint_url = {endpoint}\n{assume}"), vec![own.clone()]),
        case(
            "endpoint_url",
            "default",
            &format!("services = x\n{assume}[services x]\nsts =\n  endpoint_url = {endpoint}\n"),
            vec![own.clone()],
        ),
        by_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2", "", std::slice::from_ref(&own)),
        by_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "default", "", &[own]),
    ]
}

/// Writes cached IAM Identity Center tokens: one that is valid, and one that needs a refresh.
fn sign_in(world: &World) {
    let folder = world.folder.path().join(".aws/sso/cache");
    fs::create_dir_all(&folder).unwrap();
    let start = r#""startUrl":"https://example.com/start","region":"us-east-1""#;
    let valid = format!(r#"{{"accessToken":"s3cret","expiresAt":"2999-01-01T00:00:00Z",{start}}}"#);
    let expired = format!(
        r#"{{"accessToken":"s3cret","expiresAt":"2020-01-01T00:00:00Z","refreshToken":"s3cret","clientId":"id","clientSecret":"s3cret","registrationExpiresAt":"2999-01-01T00:00:00Z",{start}}}"#
    );
    for (name, text) in [(START, &valid), (SESSION, &expired)] {
        fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }
    let folder = world.folder.path().join(".aws/login/cache");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{LOGIN}.json")), include_str!("login.json")).unwrap();
}

/// SHA-256 of the name of the `aws login` session, which has also expired.
const LOGIN: &str = "2ff2a80db794fe2d23248219d580c027ab8e3592f5c59254e6a865b9c22fc859";

/// SHA-1 of the start URL and of the session name.
const START: &str = "b343494cf15ba6b81449840ea93161cf3b27e5e3";
const SESSION: &str = "fcbdc4c271c889825d8338d2d8f10b6e5e95c171";

/// Accepts and counts connections to this address.
fn count(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (port, connections)
}

async fn nothing_is_sent(endpoint: &str, connections: &AtomicUsize) {
    let world = World::new().await;
    sign_in(&world);
    for case in cases(&world, endpoint) {
        world.file("config", &case.config);
        let found = world.run(case.mode, case.variables, None).await.remove(0);
        let named = found.text.contains(case.setting) && found.kind.as_deref() == Some("invalid_argument");
        assert!(named && !found.retryable, "{}: {found:?}", case.setting);
        assert_eq!(connections.load(Ordering::SeqCst), 0, "{}: {found:?}", case.setting);
    }
}

/// Uses a non-loopback address that is routed to this host.
#[tokio::test(flavor = "multi_thread")]
async fn no_source_sends_in_clear() {
    let (port, connections) = count("127.0.0.1");
    nothing_is_sent(&format!("http://0.0.0.0:{port}"), &connections).await;
}

/// Control: with an endpoint on loopback, each of these sources sends a request.
#[tokio::test(flavor = "multi_thread")]
async fn every_source_sends_on_loopback() {
    let world = World::new().await;
    sign_in(&world);
    let (port, connections) = count("127.0.0.1");
    for case in cases(&world, &format!("http://127.0.0.1:{port}")) {
        world.file("config", &case.config);
        let before = connections.load(Ordering::SeqCst);
        let found = world.run(case.mode, case.variables, None).await.remove(0);
        assert!(connections.load(Ordering::SeqCst) > before, "{}: {found:?}", case.setting);
    }
}

const PRIVATE: &str = "10.213.87.1";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a child process by the other tests"]
async fn in_namespace() {
    let (port, connections) = count(PRIVATE);
    // Control: the address is reachable.
    drop(std::net::TcpStream::connect((PRIVATE, port)).unwrap());
    while connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    connections.store(0, Ordering::SeqCst);
    nothing_is_sent(&format!("http://{PRIVATE}:{port}"), &connections).await;
    println!("child has ended");
}

/// Runs in a separate network namespace with a non-loopback address, on a dummy device or, if the kernel has none, on
/// `lo`.
#[test]
fn nothing_leaves_loopback_in_clear() {
    let on = |device: &str| format!("ip addr add {PRIVATE}/24 dev {device} && ip link set {device} up");
    let up = format!(
        "ip link set lo up && if ip link add ksm0 type dummy 2>/dev/null; then {}; else {}; fi",
        on("ksm0"),
        on("lo")
    );
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script]);
        command
    };
    if !namespace(&up).output().is_ok_and(|output| output.status.success()) {
        println!("not checked: this host lets nobody make a network namespace with unshare and ip");
        return;
    }
    let child = env::current_exe().unwrap();
    let output =
        namespace(&format!("{up} && exec \"$0\" --ignored --exact cleartext::in_namespace --nocapture"))
            .arg(child)
            .output()
            .unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("child has ended"), "{text}");
}

/// A redirect would take tokens and signatures to another host.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let world = World::new().await;
    sign_in(&world);
    let (target, connections) = count("127.0.0.1");
    for status in [301, 302, 307, 308] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 16 << 10]);
                let reply = format!(
                    "HTTP/1.1 {status} -\r\nlocation: http://127.0.0.1:{target}/\r\nconnection: close\r\n\
                     x-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: 0\r\n\r\n"
                );
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        for case in cases(&world, &endpoint) {
            world.file("config", &case.config);
            let found = world.run(case.mode, case.variables, None).await.remove(0);
            assert!(!found.is_ok(), "{}: {found:?}", case.setting);
            assert_eq!(connections.load(Ordering::SeqCst), 0, "{}: {found:?}", case.setting);
        }
    }
}
