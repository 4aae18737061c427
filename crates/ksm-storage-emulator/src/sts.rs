//! AWS Security Token Service: <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

use hyper::{
    Response,
    header::{AUTHORIZATION, HeaderMap},
};

use crate::{
    Action, ApiError, Emulator,
    emulator::{ACCOUNT, State},
    form::Form,
    http::with_fault,
    wire::{Wire, answer},
};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const XML: &str = "text/xml";
/// The expiry of everything issued by this emulator.
const EXPIRATION: &str = "2099-01-01T00:00:00Z";

/// Temporary credentials: access key ID, secret access key and session token.
pub(crate) struct Credentials(pub(crate) [String; 3]);

impl State {
    /// Issues credentials for the identity with this ARN.
    pub(crate) fn issue(&mut self, arn: String) -> Credentials {
        let id = format!("ASIAEMULATED{:08}", self.next());
        self.identities.insert(id.clone(), arn);
        Credentials([id, "emulated-secret-key".to_owned(), "emulated-session-token".to_owned()])
    }

    /// The ARN of the identity with this access key ID. A key that was not issued here belongs to one user.
    fn identity(&self, access_key_id: &str) -> String {
        let user = || format!("arn:aws:iam::{ACCOUNT}:user/emulated");
        self.identities.get(access_key_id).cloned().unwrap_or_else(user)
    }
}

pub(crate) async fn respond(emulator: &Emulator, headers: &HeaderMap, body: &[u8]) -> Option<Response<Wire>> {
    let form = Form::parse(&String::from_utf8_lossy(body));
    let named = form.get("Action").and_then(Action::from_name);
    let Some(action) = named.filter(|action| action.service() == "sts") else {
        return Some(failure(&ApiError::new("InvalidAction", "Could not find operation")));
    };
    let key = access_key_id(headers);
    let carry_out = || match carry_out(emulator, action, key, &form) {
        Ok(result) => {
            let reply = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata></{action}Response>"
            );
            answer(200, XML, reply)
        }
        Err(error) => failure(&error),
    };
    // Tests cannot tell if the call was carried out.
    with_fault(emulator.begin(action), carry_out, carry_out, failure).await
}

fn carry_out(
    emulator: &Emulator,
    action: Action,
    access_key_id: Option<&str>,
    form: &Form,
) -> Result<String, ApiError> {
    let mut state = emulator.lock();
    state.permit(action)?;
    let unsigned = || ApiError::new("MissingAuthenticationToken", "Request is missing Authentication Token");
    if action == Action::GetCallerIdentity {
        let arn = state.identity(access_key_id.ok_or_else(unsigned)?);
        let account = arn.split(':').nth(4).unwrap_or(ACCOUNT);
        return Ok(format!(
            "<Arn>{}</Arn><UserId>AIDAEMULATED</UserId><Account>{account}</Account>",
            escaped(&arn)
        ));
    }
    let required = |name: &str| {
        form.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            ApiError::new("ValidationError", format!("1 validation error detected: {name} must not be null"))
        })
    };
    let (role, session) = (required("RoleArn")?, required("RoleSessionName")?);
    if action == Action::AssumeRoleWithWebIdentity {
        let token = required("WebIdentityToken")?;
        if state.web_identity_token.as_deref().is_some_and(|expected| expected != token) {
            return Err(ApiError::new("InvalidIdentityToken", "The ID Token provided is not a valid JWT."));
        }
    } else if access_key_id.is_none() {
        return Err(unsigned());
    }
    let assumed = assumed_role(role, session)
        .ok_or_else(|| ApiError::new("ValidationError", format!("{role} is invalid")))?;
    let Credentials([id, key, token]) = state.issue(assumed.clone());
    Ok(format!(
        "<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{key}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{EXPIRATION}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>{0}</Arn><AssumedRoleId>AROAEMULATED:{1}</AssumedRoleId></AssumedRoleUser>",
        escaped(&assumed),
        escaped(session)
    ))
}

/// `arn:aws:sts::123456789012:assumed-role/NAME/SESSION`; the path of the role is not part of it.
fn assumed_role(role: &str, session: &str) -> Option<String> {
    let fields: Vec<_> = role.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = fields[..] else { return None };
    let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
    Some(format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}"))
}

/// Taken from the signature, which is not verified.
fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    let signature = headers.get(AUTHORIZATION)?.to_str().ok()?;
    signature.strip_prefix("AWS4-HMAC-SHA256 ")?.split_once("Credential=")?.1.split('/').next()
}

fn failure(error: &ApiError) -> Response<Wire> {
    let status = match &*error.code {
        "AccessDenied" | "AccessDeniedException" | "MissingAuthenticationToken" => 403,
        _ => 400,
    };
    let reply = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>emulated</RequestId></ErrorResponse>",
        escaped(&error.code),
        escaped(&error.message)
    );
    answer(status, XML, reply)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
