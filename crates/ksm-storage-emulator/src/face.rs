//! The emulator in process, as the client that it stands in for.

use async_trait::async_trait;

use super::{
    Action, Break, Emulator, Fault,
    secret::{CURRENT, Refusal, Value},
};
use ksm_storage_aws::{
    CallError, Create, Failure, MoveCurrent, Put, PutReply, SecretVersion, SecretsClient, Select,
};

impl Emulator {
    /// One call: with its fault, if it has one.
    async fn call<T>(
        &self,
        action: Action,
        carry_out: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, CallError> {
        // A real call gives way at least once.
        tokio::task::yield_now().await;
        let answer =
            |result: Result<T, Refusal>| result.map_err(|refusal| CallError::answered(400, refusal.code));
        match self.begin(action) {
            None => answer(carry_out()),
            Some(Fault::Refuse(code)) => Err(CallError::answered(400, code)),
            Some(Fault::Before(how)) => Err(broken(how)),
            Some(Fault::After(how)) => {
                let _ = carry_out();
                Err(broken(how))
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                answer(carry_out())
            }
        }
    }
}

/// What a client is left with. One that waits for ever is taken to have given up.
fn broken(how: Break) -> CallError {
    match how {
        Break::Reset => CallError::new(Failure::Disconnected),
        Break::Hang | Break::Slow => CallError::new(Failure::TimedOut),
        Break::Status(status) => CallError::answered(status, "InternalServiceError"),
        Break::Truncated | Break::Malformed => CallError::new(Failure::Unreadable),
    }
}

#[async_trait]
impl SecretsClient for Emulator {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        let seen = self.call(Action::GetSecretValue, || self.get(secret, version)).await?;
        Ok(SecretVersion {
            arn: seen.arn,
            id: seen.version.id,
            labels: seen.version.labels.into_iter().collect(),
            value: seen.version.value.payload().clone(),
        })
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        let labels: Vec<_> = put.label.iter().map(|&label| label.to_owned()).collect();
        let carry_out = || self.put(&put.secret, &put.token, Value::Text(put.value.clone()), &labels);
        let seen = self.call(Action::PutSecretValue, carry_out).await?;
        Ok(PutReply { id: seen.version.id, labels: seen.version.labels.into_iter().collect() })
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        let value = Some(Value::Text(create.value.clone()));
        self.call(Action::CreateSecret, || {
            self.create(&create.name, &create.token, value, create.kms_key_id.as_deref())
        })
        .await?;
        Ok(())
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        let carry_out = || self.move_label(&request.secret, CURRENT, Some(&request.to), Some(&request.from));
        self.call(Action::UpdateSecretVersionStage, carry_out).await?;
        Ok(())
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        let record = self.call(Action::DescribeSecret, || self.describe(secret)).await?;
        Ok(record.primary_region)
    }
}
