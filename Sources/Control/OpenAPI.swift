// The description of the control socket's API.

/// `GET /openapi.json`: OpenAPI 3.1, in JSON.
public enum OpenAPI {
  public static var document: [UInt8] { PackageResources.openapi_json }
}
