export type CredentialConfig =
  | { type: 'none' }
  | { type: 'bearer'; token: string }
  | { type: 'header'; name: string; value: string }
  | {
      type: 'client-credentials'
      /** `undefined`: discovered from the target (RFC 9728, RFC 8414). */
      tokenUrl: string | undefined
      clientId: string
      /** One of the two is there. */
      clientSecret?: string | undefined
      /** PEM or JWK, for `private_key_jwt`. */
      clientKey?: string | undefined
      scope: string | undefined
    }
  | {
      type: 'token-exchange'
      /** `undefined`: Descope's shared token endpoint. */
      tokenUrl?: string | undefined
      /** `undefined`: the client of the caller's token. */
      clientId?: string | undefined
      clientSecret?: string | undefined
      clientKey?: string | undefined
      scope: string | undefined
      /** RFC 8707; without it, the target's URL. */
      resource: string | undefined
      /** RFC 8693 §2.1 */
      audience?: readonly string[] | undefined
    }
  | {
      type: 'connection'
      /** The outbound app's id in Descope. */
      app: string
      by: 'user' | 'tenant'
      /** The user's connection of the tenant that the caller is signed in to. */
      tenant?: boolean | undefined
      /** `undefined`: whatever was connected last. */
      scopes?: readonly string[] | undefined
      /** `undefined`: `Authorization: Bearer`. */
      header?: { name: string; prefix: string } | undefined
      /** `undefined`: the caller's own token is used, which needs the scope `outbound.token.fetch`. */
      managementKey: string | undefined
    }

export interface IdentityConfig {
  method: 'claims' | 'jwt'
  claims: readonly string[]
  /** `undefined`: `X-User-Claims` or `X-User-JWT`. */
  header: string | undefined
}

/** Who may use a target at all: one entry of each list that is there. An empty list admits nobody. */
export interface AccessConfig {
  /** Tenants (`dct`) that the caller may be signed in to. */
  tenants?: readonly string[] | undefined
  roles?: readonly string[] | undefined
  permissions?: readonly string[] | undefined
  scopes?: readonly string[] | undefined
}

/** Of a target's tools, or of its prompts or resources; the globs are over its own names or URIs. */
export interface ToolPolicyConfig {
  /** An empty list allows nothing. */
  allow: readonly string[]
  deny: readonly string[]
  /** Glob → scopes that a call needs. */
  scopes: Readonly<Record<string, readonly string[]>>
  /** Glob → roles, of which the caller needs one. */
  roles: Readonly<Record<string, readonly string[]>>
  /** Glob → permissions, of which the caller needs one. */
  permissions: Readonly<Record<string, readonly string[]>>
  /** Glob → tenants (`dct`), of which the caller must be signed in to one. */
  tenants: Readonly<Record<string, readonly string[]>>
  /** Globs over tools whose call needs a token that was stepped up. */
  stepUp?: readonly string[] | undefined
  /** Glob → templates of the relation that a call needs. */
  fga?:
    | Readonly<Record<string, { resourceType: string; resource: string; relation: string }>>
    | undefined
  /** Whether tools are listed or hidden whose scopes the caller lacks. */
  whenScopeMissing: 'list' | 'hide'
}
