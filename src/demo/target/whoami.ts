import { ownMember } from '../../util/json.js'
import { isSecretName } from '../../util/redact.js'

/** What the target can tell about a credential without telling the credential. */
export interface SeenCredential {
  header: string
  /** Of an `Authorization` header: `bearer`, `basic` and so on. */
  scheme?: string
  format: 'jwt' | 'opaque'
}

export type SeenHeaders = Readonly<Record<string, string | string[] | undefined>>

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** Lists the credentials among the headers of a request. Their values stay out of the result. */
export function seenCredentials(headers: SeenHeaders): SeenCredential[] {
  return headerNames(headers)
    .filter(isSecretName)
    .map((header) => {
      const value = [ownMember(headers, header)].flat().join(', ')
      const [, scheme, rest] = /^([A-Za-z-]+) +(?! )(.*)$/.exec(value) ?? []
      const format = JWT.test(rest ?? value) ? 'jwt' : 'opaque'
      if (header !== 'authorization' || scheme === undefined) return { header, format }
      return { header, scheme: scheme.toLowerCase(), format }
    })
}

/** Returns the names of the headers that were sent, sorted. */
export function headerNames(headers: SeenHeaders): string[] {
  return Object.keys(headers)
    .filter((name) => ownMember(headers, name) !== undefined)
    .map((name) => name.toLowerCase())
    .sort()
}
