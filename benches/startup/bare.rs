//! From process start to a secret, with only the AWS SDK.

use aws_config::BehaviorVersion;
use aws_sdk_secretsmanager::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), String> {
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    let secret = Client::new(&config).get_secret_value().secret_id("ksm-config").send().await;
    let secret = secret.map_err(|error| error.to_string())?;
    if secret.secret_string().is_none_or(|text| !text.contains("hostname")) {
        return Err("the secret holds no configuration".to_owned());
    }
    Ok(())
}
