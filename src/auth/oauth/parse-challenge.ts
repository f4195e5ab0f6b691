/** One challenge of a `WWW-Authenticate` header: scheme in lower case, parameter names too. */
export interface AuthChallenge {
  readonly scheme: string
  readonly parameters: Record<string, string>
  /** Every value of `resource_metadata`, repeated ones too. */
  readonly metadata: string[]
}

/** What a protected resource says when it refuses a request (RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1). */
export interface BearerChallenge {
  readonly error?: string
  readonly errorDescription?: string
  /** Scopes that the request needs. */
  readonly scope?: string
  /** How the sign-in must be done, and how old it may be, seconds (RFC 9470 §3). */
  readonly acrValues?: string
  readonly maxAge?: string
  readonly resourceMetadata?: string
  /** Further values of `resource_metadata`, where there are several. */
  readonly furtherMetadata?: readonly string[]
  /** Whether tokens with a DPoP proof are taken, or no others (RFC 9449 §7.1). */
  readonly proof?: 'offered' | 'required'
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

/** Without quotes, a value may be more than a token: servers write URLs so. */
const BARE = '[^\\s",=][^\\s",]*'

const PARAMETER = new RegExp(`^(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${BARE}))`)

const SCHEME = new RegExp(`^(${TOKEN})(?:[ \\t]+|(?=,|$))`)

const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/

/**
 * Splits a `WWW-Authenticate` value into its challenges. A header may carry several, in any order,
 * and commas separate both challenges and parameters. Never throws: what cannot be understood ends
 * the list.
 *
 * @see [RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)
 */
export function parseChallenges(header: string | null | undefined): AuthChallenge[] {
  const challenges: AuthChallenge[] = []
  let rest = (header ?? '').slice(0, 16_384)
  for (;;) {
    rest = rest.replace(/^[ \t,]+/, '')
    const parameter = PARAMETER.exec(rest)
    const current = challenges.at(-1)
    if (parameter !== null && current !== undefined) {
      const name = (parameter[1] as string).toLowerCase()
      // A repeated parameter is ambiguous; the first one counts, as for most servers.
      const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? ''
      current.parameters[name] ??= value
      if (name === 'resource_metadata') current.metadata.push(value)
      rest = rest.slice(parameter[0].length)
      continue
    }
    const scheme = SCHEME.exec(rest)
    if (scheme === null) return challenges
    challenges.push({
      scheme: (scheme[1] as string).toLowerCase(),
      parameters: Object.create(null) as Record<string, string>,
      metadata: [],
    })
    rest = rest.slice(scheme[0].length)
    if (PARAMETER.exec(rest) === null) rest = rest.replace(TOKEN68, '')
  }
}

/**
 * Reads the `Bearer` challenge out of a `WWW-Authenticate` value, or the `DPoP` one where that says what is
 * wrong, or is alone; `undefined` when there is none.
 *
 * @see [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)
 * @see [RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)
 */
export function readBearerChallenge(
  header: string | null | undefined,
): BearerChallenge | undefined {
  const all = parseChallenges(header)
  const bearers = all.filter(({ scheme }) => scheme === 'bearer')
  const proofs = all.filter(({ scheme }) => scheme === 'dpop')
  const known = [...bearers, ...proofs]
  const chosen =
    proofs.find(({ parameters }) => parameters['error'] !== undefined) ??
    known.find(({ metadata }) => metadata.length > 0) ??
    known[0]
  if (chosen === undefined) return undefined
  const { error, error_description, scope, acr_values, max_age } = chosen.parameters
  const [first, ...further] = new Set(known.flatMap(({ metadata }) => metadata))
  return {
    ...(error !== undefined && { error }),
    ...(error_description !== undefined && { errorDescription: error_description }),
    ...(scope !== undefined && { scope }),
    ...(acr_values !== undefined && { acrValues: acr_values }),
    ...(max_age !== undefined && { maxAge: max_age }),
    ...(first !== undefined && { resourceMetadata: first }),
    ...(further.length > 0 && { furtherMetadata: further }),
    ...(proofs.length > 0 && { proof: bearers.length > 0 ? 'offered' : 'required' }),
  }
}

/** Tells whether a refusal is about the token itself: some servers say so with a 403. */
export function saysTokenInvalid(status: number, challenge: string | undefined): boolean {
  if (status !== 403) return status === 401
  return readBearerChallenge(challenge)?.error === 'invalid_token'
}
