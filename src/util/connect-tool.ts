const MAX_APP = 48

/** Returns the name of the tool by which a user connects with an app. */
export function connectToolOf(app: string): string {
  return `connect_${app.slice(0, MAX_APP).replace(/[^A-Za-z0-9_-]/g, '_')}`
}
