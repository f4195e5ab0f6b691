/** What stands in braces in a template of `tools.fga`. */
export const TEMPLATE_PART =
  /\{(arguments(?:\.[A-Za-z0-9_-]+)+|claims\.[^{}\s]+|tenant|target|tool)\}/g

/**
 * Tells whether all braces of a template enclose something that is known, with text between any two
 * of them: of `{a}{b}` nobody could say where one value ends.
 */
export function isRelationTemplate(text: string): boolean {
  if (text.length === 0 || text.length > 256) return false
  const marked = text.replace(TEMPLATE_PART, '\0')
  return !/[{}]/.test(marked) && !marked.includes('\0\0')
}

/** Returns the claims that templates name. */
export function claimsIn(templates: Readonly<Record<string, string>>): string[] {
  const parts = Object.values(templates).flatMap((text) => text.match(TEMPLATE_PART) ?? [])
  return parts.flatMap((part) => (part.startsWith(CLAIM) ? [part.slice(CLAIM.length, -1)] : []))
}

const CLAIM = '{claims.'
