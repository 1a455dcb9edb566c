import { AuthProvider } from "@authproject/client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter, RouterProvider } from "react-router";

import { auth } from "./auth";
import * as data from "./data";
import { Failure, NotFound } from "./Failure";
import { Layout } from "./Layout";
import { ForgotPassword } from "./pages/ForgotPassword";
import { Moderation } from "./pages/Moderation";
import { Notes } from "./pages/Notes";
import { Profile } from "./pages/Profile";
import { Sessions } from "./pages/Sessions";
import { SignIn } from "./pages/SignIn";
import { SignUp } from "./pages/SignUp";
import { Statistics } from "./pages/Statistics";
import "./styles.css";

const router = createBrowserRouter([
  {
    HydrateFallback: () => <p className="loading">Loading…</p>,
    ErrorBoundary: Failure,
    children: [
      { path: "sign-in", Component: SignIn, action: data.signIn },
      { path: "sign-up", Component: SignUp, action: data.signUp },
      { path: "forgot-password", Component: ForgotPassword, action: data.requestReset },
      { path: "sign-out", action: data.signOut },
      {
        id: "signed-in",
        Component: Layout,
        loader: data.loadProfile,
        children: [
          {
            // Failures of a page are shown inside of the layout.
            ErrorBoundary: Failure,
            children: [
              { index: true, Component: Notes, loader: data.loadNotes, action: data.addNote },
              { path: "moderation", Component: Moderation, loader: data.loadAllNotes, action: data.deleteNote },
              { path: "statistics", Component: Statistics, loader: data.loadStatistics },
              { path: "profile", Component: Profile, action: data.changeProfile },
              { path: "sessions", Component: Sessions, loader: data.loadSessions, action: data.endSession },
              { path: "*", Component: NotFound },
            ],
          },
        ],
      },
    ],
  },
]);

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <AuthProvider client={auth}>
      <RouterProvider router={router} />
    </AuthProvider>
  </StrictMode>,
);
