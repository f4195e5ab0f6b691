const SECRET_KEY = /(^|[-_])(authorization|cookie|token|secret|password|apikey|key|code|verifier)$/i
const JWT = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g
const BEARER = /\b(bearer|basic)\s+[\w.~+/=:-]{8,}/gi

const PLACEHOLDER = '[redacted]'

/** Tells by its name whether a field, header or variable holds a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_KEY.test(name.replace(/([a-z0-9])([A-Z])/g, '$1_$2'))
}

/**
 * Creates a function that removes secrets from text: every value that was named as a secret, and
 * whatever looks like a JWT or an Authorization value.
 */
export function createRedactor(secrets: Iterable<string | undefined> = []) {
  const known = spellings(secrets)
  return (text: string): string => {
    let result = text
    for (const secret of known) {
      if (result.includes(secret)) result = result.replaceAll(secret, PLACEHOLDER)
    }
    // most lines hold neither, and looking is cheaper than replacing
    if (result.includes('eyJ')) result = result.replace(JWT, PLACEHOLDER)
    const lower = result.toLowerCase()
    if (!lower.includes('bearer') && !lower.includes('basic')) return result
    return result.replace(BEARER, `$1 ${PLACEHOLDER}`)
  }
}

/** Each secret as it is and as it stands in JSON, longest first: one may be a part of another. */
function spellings(secrets: Iterable<string | undefined>): string[] {
  const found = new Set<string>()
  for (const secret of secrets) {
    if (secret === undefined || secret.length < 4) continue
    found.add(secret).add(JSON.stringify(secret).slice(1, -1))
  }
  return [...found].sort((a, b) => b.length - a.length)
}
