//! The demo on the AWS emulator over HTTP and the fake Keeper service over HTTPS.

use std::error::Error;

use crate::{
    first_start, later_start,
    show::{records, step, stored},
};
use ksm_storage::{ConfigStorage, aws::AwsSecretStorage, keeper::KeeperClient};
use ksm_storage_emulator::{
    Action, Emulator, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};

const SECRET: &str = "ksm-config";
const REGION: &str = "us-east-1";

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::new(REGION);
    let aws = Server::start(emulator.clone()).await?;
    let keeper = FakeKeeper::start(AppKeyPolicy::UntilConfirmed)?;
    println!("AWS Secrets Manager: an emulator on {}", aws.url());
    println!("Keeper:              a fake on https://{}", keeper.hostname().trim_end_matches("/http"));

    step("1. The secret is created, as a person does once");
    emulator.secret(SECRET).overwrite(Value::Text("{}".into()));
    println!("  aws secretsmanager create-secret --name {SECRET} --secret-string '{{}}'");

    step("2. First start, with a one-time token");
    let builder = || {
        KeeperClient::builder()
            .hostname(keeper.hostname())
            .server_public_key(keeper.server_public_key())
            .server_public_key_id(keeper.server_public_key_id())
            .insecure_skip_verify()
    };
    let client = first_start(builder(), open(&aws).await?, keeper.issue_token().into()).await?;
    let bound = calls(&emulator);
    stored(client.storage());
    println!("  AWS calls: {}", counted([0; 2], bound));
    println!("  Keeper requests: {}", keeper.requests().len());
    drop(client);

    step("3. Second start, without a token");
    let client = later_start(builder(), open(&aws).await?).await?;
    let started = calls(&emulator);
    println!("  AWS calls: {}", counted(bound, started));
    records(&client).await?;
    println!("  AWS calls for the records: {}", counted(started, calls(&emulator)));

    step("4. The configuration is deleted; the secret stays");
    client.storage().delete_all().await?;
    let left = emulator.secret(SECRET).value("AWSCURRENT").ok_or("the secret is gone")?;
    println!("  stored: {}", String::from_utf8_lossy(left.as_bytes()).trim());
    println!(
        "\nNothing was written to disk. The same on your own secret: cargo xtask demo --aws-key {SECRET}"
    );
    Ok(())
}

async fn open(aws: &Server) -> Result<ConfigStorage, ksm_storage::Error> {
    // On EC2: `from_ec2_instance_config(SECRET).open()`; on Lambda, ECS, EKS: `from_default_config(SECRET).open()`.
    AwsSecretStorage::from_custom_config(SECRET, "AKIDEMO", "demo", REGION)
        .endpoint_url(aws.url())
        .open()
        .await
}

fn calls(emulator: &Emulator) -> [usize; 2] {
    [Action::GetSecretValue, Action::PutSecretValue].map(|action| emulator.calls(action))
}

fn counted(before: [usize; 2], after: [usize; 2]) -> String {
    format!("{} GetSecretValue, {} PutSecretValue", after[0] - before[0], after[1] - before[1])
}
