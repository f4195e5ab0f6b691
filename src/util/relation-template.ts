/** What stands in braces in a template of `tools.fga`. */
export const TEMPLATE_PART =
  /\{(arguments(?:\.[A-Za-z0-9_-]+)+|claims\.[^{}\s]+|tenant|target|tool)\}/g

/** Tells whether all braces of a template enclose something that is known. */
export function isRelationTemplate(text: string): boolean {
  return text.length > 0 && text.length <= 256 && !/[{}]/.test(text.replace(TEMPLATE_PART, ''))
}
