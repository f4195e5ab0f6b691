/**
 * Returns a function that tells whether an audience is the resource: the same characters but for
 * the case of scheme and host and for one trailing slash, on either side.
 *
 * Nothing else is normalised: another port, an encoded character or a dot segment is another resource.
 *
 * @see [RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2) Resource Parameter
 */
export function isResource(resource: string): (audience: string) => boolean {
  const expected = comparable(resource)
  return (audience) => audience === resource || comparable(audience) === expected
}

function comparable(resource: string): string {
  const origin = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(resource)?.[0] ?? ''
  return origin.toLowerCase() + resource.slice(origin.length).replace(/\/$/, '')
}
