//! The portal of IAM Identity Center:
//! <https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html>

use hyper::{Request, Response};
use serde_json::json;

use crate::{
    Action, ApiError, Emulator,
    form::Form,
    http::with_fault,
    sts::Credentials,
    wire::{Wire, answer},
};

pub(crate) const PATH: &str = "/federation/credentials";
const JSON: &str = "application/json";
/// 2099-01-01T00:00:00Z in milliseconds.
const EXPIRATION: u64 = 4_070_908_800_000;

pub(crate) async fn respond<B>(emulator: &Emulator, request: &Request<B>) -> Option<Response<Wire>> {
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let token = request.headers().get("x-amz-sso_bearer_token").and_then(|token| token.to_str().ok());
    let carry_out = || match carry_out(emulator, &query, token) {
        Ok(Credentials([id, key, token])) => {
            let credentials = json!({
                "accessKeyId": id, "secretAccessKey": key, "sessionToken": token, "expiration": EXPIRATION,
            });
            answer(200, JSON, json!({ "roleCredentials": credentials }).to_string())
        }
        Err(error) => failure(&error),
    };
    // Tests cannot tell if the call was carried out.
    with_fault(emulator.begin(Action::GetRoleCredentials), carry_out, carry_out, failure).await
}

fn carry_out(emulator: &Emulator, query: &Form, token: Option<&str>) -> Result<Credentials, ApiError> {
    let mut state = emulator.lock();
    state.permit(Action::GetRoleCredentials)?;
    let required = |name: &str| {
        let missing = || ApiError::new("InvalidRequestException", format!("{name} must not be null"));
        query.get(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    let (role, account) = (required("role_name")?, required("account_id")?);
    let valid =
        token.is_some_and(|token| state.sso_token.as_deref().is_none_or(|expected| expected == token));
    if !valid {
        return Err(ApiError::new("UnauthorizedException", "Session token not found or invalid"));
    }
    Ok(state.issue(format!("arn:aws:sts::{account}:assumed-role/AWSReservedSSO_{role}/emulated")))
}

fn failure(error: &ApiError) -> Response<Wire> {
    let status = match &*error.code {
        "UnauthorizedException" => 401,
        "ForbiddenException" => 403,
        "ResourceNotFoundException" => 404,
        "TooManyRequestsException" => 429,
        _ => 400,
    };
    let mut response = answer(status, JSON, json!({ "message": error.message }).to_string());
    if let Ok(code) = error.code.parse() {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}
