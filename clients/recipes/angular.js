// Angular. Usage: provideHttpClient(withInterceptors([authInterceptor(auth, "https://api.example.com/")]))
import { catchError, from, switchMap, throwError } from "rxjs";

/**
 * @param {import("@authproject/client").AuthClient} auth
 * @param {string} address What the URLs begin with that receive the token; ends with a slash.
 * @returns {import("@angular/common/http").HttpInterceptorFn}
 */
export function authInterceptor(auth, address) {
  /**
   * @param {import("@angular/common/http").HttpRequest<unknown>} request
   * @param {import("@authproject/client").Session | null} session
   */
  const signed = (request, session) =>
    session ? request.clone({ setHeaders: { Authorization: `Bearer ${session.accessToken}` } }) : request;

  return (request, next) => {
    if (!request.url.startsWith(address)) return next(request);
    return from(auth.fresh()).pipe(
      switchMap((session) =>
        next(signed(request, session)).pipe(
          catchError((error) => {
            if (error.status !== 401 || !session) return throwError(() => error);
            return from(auth.refresh(session)).pipe(switchMap((renewed) => next(signed(request, renewed))));
          }),
        ),
      ),
    );
  };
}
